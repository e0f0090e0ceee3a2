"""`up` and `demo` as a user types them, with everything real: one stack, started twice."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from urllib.parse import urlsplit

import pytest
from support.substitutes import eventually, is_alive

from standalone.health import grpc_is_serving

READY_WITHIN_S = 60
END_WITHIN_S = 30
PROCESSES = ("billing", "content", "gateway", "images", "model", "nats", "tasks")
DATA = "data? 50%20 #1"
"""Its folder: each of these characters means something else in a URL."""
CREDENTIALS = ("email", "password", "api_key", "account_id", "site_id", "sector_id", "cluster_id")


class Up:
    """A running `up --json`, and what it said."""

    def __init__(self, directory, *options):
        self.errors = directory.parent / "stderr"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                command("up", "--json", "--port", "0", "--data", str(directory), *options),
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        self.said = json.loads(line)

    @property
    def pids(self):
        return {name: part["pid"] for name, part in self.said["services"].items()}

    def get(self, path):
        request = urllib.request.Request(
            f"{self.said['url']}/api/v1/{path}",
            headers={"Authorization": f"ApiKey {self.said['api_key']}"},
        )
        with urllib.request.urlopen(request, timeout=END_WITHIN_S) as answer:
            return json.load(answer)

    def end(self, number):
        """Sends the signal; the exit code and what else was said on stdout."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=END_WITHIN_S)
        return self.process.returncode, rest


def command(*arguments):
    return [sys.executable, "-P", "-m", "standalone", *arguments]


def environment(**more):
    left_out = ("OPENAI_API_KEY", "OPENAI_BASE_URL")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path), **more}


def begin(*arguments, **more):
    return subprocess.Popen(
        command(*arguments),
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process):
    """What it said and how it ended; it does not outlive an impatient test."""
    try:
        said = process.communicate(timeout=READY_WITHIN_S)
    finally:
        process.kill()
        process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, *said)


@pytest.fixture
def start(tmp_path):
    started = []

    def start(*options):
        started.append(Up(tmp_path / DATA, *options))
        return started[-1]

    yield start
    for up in started:
        up.process.kill()
        up.process.communicate()


def test_a_day_with_up_and_demo_and_the_morning_after(start, tmp_path):
    data = tmp_path / DATA
    up = start()
    # One line says everything that a script needs.
    assert set(up.said) == {"url", *CREDENTIALS, "nats_url", "model", "services"}
    assert up.said["model"] == "offline"
    address = up.said["services"]["nats"]["address"]
    password = urlsplit(up.said["nats_url"]).password
    assert up.said["nats_url"] == f"nats://writer:{password}@{address}"
    assert set(up.pids) == {*PROCESSES, "identity"}
    assert all(up.said[name] for name in CREDENTIALS)
    for name in ("billing", "content", "images", "tasks", "identity"):
        assert grpc_is_serving(up.said["services"][name]["address"]), name
    assert up.get("auth/me")["data"]["account"]["id"] == up.said["account_id"]

    # The demo finds the running stack by itself; meanwhile a second `up` on the same data is
    # refused and disturbs nothing.
    second = begin("up", "--data", str(data))
    done = finished(begin("demo", "--data", str(data)))
    refused = finished(second)
    assert refused.returncode == 1
    assert "is in use by a running Writer" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.startswith(f"Using the Writer that runs at {up.said['url']}.\n")
    assert "no provider is called" in done.stdout
    assert done.stdout.count("status      review") == 3
    assert done.stdout.count(f"{up.said['url']}/api/v1/writer/images/") == 9
    assert "Credits: 100 before, 73 after, 27 charged for this run." in done.stdout

    assert {path.name for path in tmp_path.iterdir()} == {DATA, "stderr"}

    pids = up.pids
    assert up.end(signal.SIGINT) == (0, "")
    assert up.errors.read_text() == ""
    assert not any(is_alive(pid) for pid in pids.values())
    for log in (data / "logs").iterdir():
        assert password not in log.read_text(), log

    # The next day everything is still there, and then a process dies.
    up = start()
    assert up.get("writer/tasks")["count"] == 3
    os.kill(up.pids["images"], signal.SIGKILL)
    assert up.process.wait(END_WITHIN_S) == 1
    said = up.errors.read_text()
    assert said.startswith("writer: images stopped (signal SIGKILL)")
    assert said.count("\n") == 1
    eventually(lambda: not any(is_alive(pid) for pid in up.pids.values()), "all have ended")


def test_a_service_that_cannot_start_is_named_with_its_reason(tmp_path):
    arguments = ("up", "--port", "0", "--data", str(tmp_path / "data"))
    done = finished(begin(*arguments, WRITER_IN_FLIGHT_MAX="many"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("writer: The start failed: tasks stopped (exit code 1)")
    assert "many" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_stack_that_is_killed_while_it_starts_leaves_nothing_behind(tmp_path):
    data = tmp_path / "data"
    with subprocess.Popen(
        command("up", "--json", "--port", "0", "--data", str(data)),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        log = data / "logs" / "nats.log"
        eventually(lambda: log.exists() and "Server is ready" in log.read_text(), "NATS is ready")
        pid = int(log.read_text().split("[")[1].split("]")[0])
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(END_WITHIN_S) == 0
        assert parent.stdout.read() == ""
    assert not is_alive(pid)
