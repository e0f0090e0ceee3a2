"""`./writer up`: the whole Writer in the foreground, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from standalone import report
from standalone.failures import Failure, Interrupted
from standalone.rest import Refused, Unreachable
from standalone.seed import demo_account
from standalone.stack import Stack
from standalone.waiting import wait_until

WATCH_EVERY_S = 0.2
LOGS_EVERY_S = 5.0
_FOREVER_S = float("inf")


class StopRequests:
    """Counts SIGINT, SIGTERM and SIGHUP: one asks to stop, two to hurry."""

    def __init__(self) -> None:
        self._count = 0

    def any(self) -> bool:
        """Whether there was one."""
        return self._count > 0

    def urgent(self) -> bool:
        """Whether there was more than one."""
        return self._count > 1

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts as long as the block runs."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._count_one) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _count_one(self, _number: int, _frame: object) -> None:
        self._count += 1


def run(arguments: argparse.Namespace) -> int:
    """Starts, tells, watches, stops; the exit code is 0 only when we were asked to stop."""
    os.umask(0o077)
    stops = StopRequests()
    begin = time.monotonic()
    with stops.counted():
        stack = Stack(
            arguments.data, port=arguments.port, spawn=arguments.spawn, interrupted=stops.any
        )
        try:
            with stopping(stack, stops):
                tell(stack, quiet=arguments.json, begin=begin)
                watch(stack, stops)
                if not arguments.json:
                    print("\nStopping …", flush=True)
        except Interrupted:
            return 0
    return 0


def tell(stack: Stack, *, quiet: bool, begin: float) -> None:
    """Says that the stack is ready: a line of JSON, or what people want to know."""
    said = ready(stack)
    if quiet:
        print(report.line(said), flush=True)
        return
    memory = report.memory_line([os.getpid(), stack.processes.pid, *stack.pids.values()])
    took_s = time.monotonic() - begin
    print(report.paragraphs(said, stack.place, took_s, memory), flush=True)


def ready(stack: Stack) -> dict[str, object]:
    """Makes sure of the demo account and leaves word of the stack. Raises Failure."""
    try:
        said = report.document(stack, demo_account(stack.url, stack.place))
    except (Refused, Unreachable) as error:
        raise Failure(f"The demo account could not be made: {error}") from error
    stack.place.write_run(said)
    return said


@contextmanager
def stopping(stack: Stack, stops: StopRequests) -> Iterator[None]:
    """Starts the stack, and stops it however the block ends."""
    stack.start()
    try:
        yield
    finally:
        stack.stop(hurry=stops.urgent)


def watch(stack: Stack, stops: StopRequests) -> None:
    """Returns when we are asked to stop. Raises Failure when a process has ended by itself."""
    tidied = time.monotonic()

    def asked_or_dead() -> bool:
        nonlocal tidied
        if time.monotonic() - tidied > LOGS_EVERY_S:
            stack.trim_logs()
            tidied = time.monotonic()
        return stops.any() or stack.ended() is not None

    wait_until(asked_or_dead, _FOREVER_S, poll_s=WATCH_EVERY_S)
    if not stops.any() and (dead := stack.ended()):
        raise Failure(f"{dead} Everything else has been stopped, too.")


def main(arguments: argparse.Namespace) -> int:
    """As `run`, with a sentence instead of a traceback."""
    try:
        return run(arguments)
    except Failure as failure:
        print(f"writer: {failure}", file=sys.stderr)
    except OSError as error:
        # Of the data directory: full, or partly somebody else's.
        print(f"writer: {error.strerror}: {error.filename or arguments.data}.", file=sys.stderr)
    return 1
