"""Load in interleaved windows, and what the servers spend on it. Needs `wrk`.

All servers of a comparison are up at once and take turns, in another order each round, so that
whatever else the machine does falls on all of them.
"""

import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
TICKS_S = os.sysconf("SC_CLK_TCK")
WARM_UP_S = 1
ANSWER_WITHIN_S = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A server under load."""

    name: str
    address: str
    headers: dict
    pids: tuple = ()
    """Processes whose time counts as the server's, with their children."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Requests that are played one after another: verb, path, body."""

    requests: list
    status: int = 200
    rows: tuple = ()
    """Path to the rows in the answer, and how many they must be."""


@dataclass
class Windows:
    """What one target did with one kind of work, window by window."""

    rate: list = field(default_factory=list)
    p50_ms: list = field(default_factory=list)
    p99_ms: list = field(default_factory=list)
    cpu_ms: list = field(default_factory=list)
    """Of the server's processes, for each request."""
    foreign: list = field(default_factory=list)
    """Cores that neither the server nor the load used."""
    failed: int = 0
    answer_bytes: int = 0

    def median(self, name):
        return statistics.median(getattr(self, name))


def require_wrk():
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed (Debian: apt install wrk)")


def ask(target, request):
    """One request; status, document and size of the answer."""
    verb, path, body = request
    connection = http.client.HTTPConnection(target.address, timeout=ANSWER_WITHIN_S)
    try:
        connection.request(verb, path, body or None, target.headers)
        answer = connection.getresponse()
        read = answer.read()
        return answer.status, json.loads(read) if read else None, len(read)
    finally:
        connection.close()


def check(target, work):
    """Makes sure that what is measured is the work and no refusal; the size of the answer."""
    status, document, size = ask(target, work.requests[0])
    if status != work.status:
        sys.exit(f"{target.name} answers {work.requests[0][:2]} with {status}: {document}")
    if work.rows:
        path, wanted = work.rows
        for key in path.split("."):
            document = document[key]
        if len(document) != wanted:
            sys.exit(f"{target.name} answers {len(document)} rows instead of {wanted}")
    return size


def compare(works, connections, seconds, rounds, *, core=None):
    """Runs every kind of work against its targets in turn; Windows by work and target.

    `works` maps a name to {target: work}. `core` pins the load tool.
    """
    found = {}
    for name, sides in works.items():
        for target, work in sides.items():
            windows = found.setdefault(name, {}).setdefault(target.name, Windows())
            windows.answer_bytes = check(target, work)
            _window(target, work, connections, WARM_UP_S, core)
    for number in range(rounds):
        for name, sides in works.items():
            order = list(sides.items())
            order = order[number % len(order) :] + order[: number % len(order)]
            for target, work in order:
                _note(found[name][target.name], target, work, connections, seconds, core)
    return found


def _note(windows, target, work, connections, seconds, core):
    before, machine, begin = cpu_s(target.pids), _machine_s(), time.monotonic()
    own = os.times()
    measures = _window(target, work, connections, seconds, core)
    spent, after = time.monotonic() - begin, os.times()
    used = cpu_s(target.pids) - before
    load = sum(after[:4]) - sum(own[:4])
    windows.rate.append(measures["requests"] / measures["seconds"])
    windows.p50_ms.append(measures["p50_ms"])
    windows.p99_ms.append(measures["p99_ms"])
    windows.cpu_ms.append(used / max(1, measures["requests"]) * 1000)
    windows.foreign.append(max(0.0, (_machine_s() - machine - used - load) / spent))
    windows.failed += measures["refused"] + measures["broken"]


def _window(target, work, connections, seconds, core):
    with tempfile.NamedTemporaryFile("w", suffix=".play") as file:
        file.writelines(f"{name}: {value}\n" for name, value in target.headers.items())
        file.write("\n")
        file.writelines("\t".join(request) + "\n" for request in work.requests)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
        command += ["--timeout", f"{ANSWER_WITHIN_S}s", "-s", str(SCRIPT)]
        command.append(f"http://{target.address}")
        if core is not None:
            command = ["taskset", "-c", str(core), *command]
        done = subprocess.run(
            command,
            env=os.environ | {"PLAY": file.name},
            capture_output=True,
            text=True,
            check=True,
        )
    line = next(line for line in done.stdout.splitlines() if line.startswith("MEASURES "))
    return json.loads(line.removeprefix("MEASURES "))


def cpu_s(pids):
    """Processor seconds of the processes and all below them."""
    below, spent = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            below.setdefault(int(fields[1]), []).append(int(entry.name))
            spent[int(entry.name)] = sum(map(int, fields[11:15])) / TICKS_S
    total, waiting = 0.0, list(pids)
    while waiting:
        pid = waiting.pop()
        total += spent.get(pid, 0.0)
        waiting += below.get(pid, [])
    return total


def _machine_s():
    """Processor seconds that the machine has worked, idling left out."""
    fields = [int(text) for text in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS_S


def _list(ratios):
    return " ".join(f"{ratio:.2f}" for ratio in ratios)


def show(found, base, aims):
    """Prints medians and ratios to `base`: of each round, then their median."""
    for name, sides in found.items():
        print(f"\n{name} ({', '.join(f'{n} {w.answer_bytes} bytes' for n, w in sides.items())})")
        heads = ("req/s", "ratio", "p50 ms", "p99 ms", "CPU ms", "ratio")
        print(f"  {'':24} {heads[0]:>8}" + "".join(f" {head:>7}" for head in heads[1:]))
        for target, windows in sides.items():
            ratios = [a / b for a, b in zip(windows.rate, sides[base].rate, strict=True)]
            print(
                f"  {target:24} {windows.median('rate'):8.0f} {statistics.median(ratios):7.2f}"
                f" {windows.median('p50_ms'):7.1f} {windows.median('p99_ms'):7.1f}"
                f" {windows.median('cpu_ms'):7.3f}"
                f" {sides[base].median('cpu_ms') / max(windows.median('cpu_ms'), 1e-6):7.2f}"
                f"  foreign {windows.median('foreign'):.2f}"
                + (f"  FAILED {windows.failed}" if windows.failed else "")
                + (
                    f"  rounds: {' '.join(f'{ratio:.2f}' for ratio in ratios)}"
                    if target != base
                    else ""
                )
            )
        if name in aims:
            print(f"  aim: {aims[name]}")
    sys.stdout.flush()
