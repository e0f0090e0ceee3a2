"""Small programs that stand in for the services where only starting and stopping is at stake."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from standalone.plan import Ground, Part, Plan
from standalone.processes import Program

DEADLINE_S = 10.0
NO_PREPARATION = (sys.executable, "-S", "-c", "pass")
# Writes down when it starts and when it is asked to stop.
OBEDIENT = """
import os, signal, sys
def note(what):
    fd = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (what + " " + os.environ["NAME"] + "\\n").encode())
    os.close(fd)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
note("start")
print("at work", file=sys.stderr, flush=True)
signal.sigwait([signal.SIGTERM])
note("stop")
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ignoring", flush=True)
while True:
    time.sleep(60)
"""
FAILING = "import sys; print('all is well', flush=True); sys.exit('the disk has a scratch')"


def program(name: str, code: str = OBEDIENT, **env: str) -> Program:
    return Program(
        name=name,
        command=[sys.executable, "-S", "-c", code],
        env={"PATH": os.defpath, "NAME": name, **env},
    )


def planner(journal: Path, *names: str, probe: str = "", **codes: str):
    """A plan of obedient programs, and of those with their own code.

    With a `probe` their readiness is waited for, which none of them will ever declare.
    """

    def plan(_ground: Ground) -> Plan:
        codes_by_name = dict.fromkeys(names, OBEDIENT) | codes
        parts = [
            Part(
                program=program(name, code, JOURNAL=str(journal)),
                address="127.0.0.1:1" if probe else "",
                probe=probe,
            )
            for name, code in codes_by_name.items()
        ]
        return Plan(parts=parts)

    return plan


def eventually(condition, what: str) -> None:
    """Polls until `condition` holds, with a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether the process runs; a dead one that nobody has buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
