"""Where throttles count: in this process, or in a Redis that all gateways share.

When Redis does not answer each process counts for itself, so that nobody is refused because of
it and nobody is without a limit; one log line says so, and one that it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

from chassis import clock
from gateway.admission.throttles import Counter

log = logging.getLogger("gateway.throttles")

COUNTERS_MAX = 50_000
"""Counters in memory; beyond, the one that was not used for longest is forgotten."""
TIMEOUT_S = 0.25
"""For one answer of Redis; every request waits for it."""
RETRY_AFTER_S = 5.0
"""How long a Redis that did not answer is not asked again."""
CONNECTIONS_MAX = 50
_SCHEMES = ("redis://", "rediss://", "redis+unix://")


class MemoryCounter:
    """Counts in this process. Bounded, so a flood of addresses may push idle ones out.

    What was not counted for as long as it counts is dropped: its window is over.
    """

    def __init__(self, counters_max: int = COUNTERS_MAX) -> None:
        self._counters_max = counters_max
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Keys name their window, so that one which is over is never asked for again."""
        now_s = clock.elapsed_s()
        before, _ = self._counts.pop(key, (0, 0.0))
        count = before + amount
        self._counts[key] = (count, now_s + expiry)
        while self._counts:
            _, until_s = next(iter(self._counts.values()))
            if until_s > now_s and len(self._counts) <= self._counters_max:
                break
            self._counts.popitem(last=False)
        return count


class SharedCounter:
    """Counts in a place that all share, and in its own while that does not answer."""

    def __init__(
        self, shared: Counter, own: Counter, failures: tuple[type[Exception], ...] = ()
    ) -> None:
        """`failures` is what the shared one raises when it cannot count."""
        self._shared = shared
        self._own = own
        self._failures: tuple[type[Exception], ...] = (*failures, OSError, TimeoutError)
        self._silent_until_s: float | None = None

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """The shared count, or our own. Never raises because of the shared one."""
        silent_until_s = self._silent_until_s
        if silent_until_s is not None and clock.elapsed_s() < silent_until_s:
            return await self._own.incr(key, expiry, amount)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                count = await self._shared.incr(key, expiry, amount)
        except self._failures as error:
            if self._silent_until_s is None:
                log.warning(
                    "throttles are counted by each process: the shared counter does not answer",
                    extra={"error": type(error.__cause__ or error).__name__},
                )
            self._silent_until_s = clock.elapsed_s() + RETRY_AFTER_S
            return await self._own.incr(key, expiry, amount)
        if self._silent_until_s is not None:
            self._silent_until_s = None
            log.info("throttles are shared again")
        return count


def counter_for(redis_url: str) -> Counter:
    """The counter for a Redis URL, or one in memory without a URL. Raises ValueError.

    Connects when it first counts: a gateway starts without its Redis.
    """
    if not redis_url:
        return MemoryCounter()
    if not redis_url.startswith(_SCHEMES):
        raise ValueError(f"must begin with one of {', '.join(_SCHEMES)}")
    # Imported here: it takes 70 ms, and most gateways have no Redis.
    from limits.aio.storage import RedisStorage
    from limits.errors import ConfigurationError, StorageError

    try:
        shared = RedisStorage(
            f"async+{redis_url}",
            implementation="redispy",
            key_prefix="writer-throttles",
            wrap_exceptions=True,
            socket_connect_timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            max_connections=CONNECTIONS_MAX,
        )
    except ConfigurationError as error:
        raise ValueError("must name a host and a port") from error
    return SharedCounter(shared, MemoryCounter(), (StorageError,))
