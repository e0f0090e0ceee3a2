"""What is asked of identity has a bound: a silent database must not hold every request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from chassis.errors import Unavailable

LOOKUP_TIMEOUT_S = 3.0
"""Giving up takes up to two more: the driver says goodbye to a server that does not answer."""

_T = TypeVar("_T")


async def in_time(lookup: Awaitable[_T]) -> _T:
    """What is found. Raises Unavailable when that takes longer than LOOKUP_TIMEOUT_S."""
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            return await lookup
    except TimeoutError as error:
        raise Unavailable("Identity does not answer.") from error
