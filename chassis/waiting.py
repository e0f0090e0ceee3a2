"""Waiting for work that goes on when whoever waits for it leaves."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

_T = TypeVar("_T")


async def outcome(work: asyncio.Future[_T]) -> _T:
    """What the work gives or raises; a waiter that is cancelled leaves it alone.

    As `asyncio.shield`, which since Python 3.14 logs an error when work fails that its waiter
    has left. Here that is nothing special: others wait for it, too, or nobody has to know.
    """
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        work.add_done_callback(_fetch)
        raise
    return work.result()


def _fetch(work: asyncio.Future[Any]) -> None:
    # An exception that nobody has fetched is logged, too.
    if not work.cancelled():
        work.exception()
