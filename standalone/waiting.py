"""Waiting with a bound, and without missing a request to stop."""

from __future__ import annotations

import time
from collections.abc import Callable

from standalone.failures import Interrupted

POLL_S = 0.01


def never() -> bool:
    """For those whom nobody interrupts."""
    return False


def wait_until(
    condition: Callable[[], bool],
    timeout_s: float,
    *,
    poll_s: float = POLL_S,
    interrupted: Callable[[], bool] = never,
) -> bool:
    """Whether `condition` came true in time. Raises Interrupted when asked to stop meanwhile."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if interrupted():
            raise Interrupted
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_s)
    return True
