"""`./writer test`: the test suite, with what it needs on two cores."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 3
"""One more than the cores that it is meant for: many tests wait for processes and time."""
_OWN_WORKERS = ("-n", "--numprocesses", "--pdb")


def command(rest: Sequence[str], *, slow: bool) -> list[str]:
    """The pytest command line; what the user gives comes last and so wins."""
    arguments = [sys.executable, "-m", "pytest"]
    if not any(given.startswith(_OWN_WORKERS) for given in rest):
        arguments += ["-n", str(WORKERS), "--dist", "worksteal"]
    if not slow:
        arguments += ["-m", "not slow"]
    return [*arguments, *rest]


def run(rest: Sequence[str], *, slow: bool) -> int:
    """Becomes pytest, in the root of the checkout."""
    os.chdir(ROOT)
    arguments = command(rest, slow=slow)
    os.execv(arguments[0], arguments)  # noqa: S606
