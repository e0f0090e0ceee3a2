"""The only source of time. Tests replace it with `frozen`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime


def _wall() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _wall


def now() -> datetime:
    """The time in UTC, cut to the millisecond that every store and contract keeps."""
    moment = _source()
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def elapsed_s() -> float:
    """Seconds on a clock that never goes back; only differences mean something."""
    return time.monotonic()


@contextmanager
def frozen(source: Callable[[], datetime]) -> Iterator[None]:
    """Lets `source` answer `now()` inside the block. For tests."""
    global _source  # noqa: PLW0603  the one replaceable clock of the process
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before
