"""How many requests an account may make in a minute, by scope; who has no account, by address.

Windows are fixed minutes, shifted by account so that not all begin at once: around the turn of
a window up to twice the limit may pass. Refused requests count as well. A contract names the
scope of each method; `writer` is counted apart for reads and writes.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from chassis import clock
from gateway.contracts import ContractError, Method
from gateway.http.answers import Headers

WINDOW_S = 60
PER_MINUTE: Mapping[str, int] = {
    "writer_read": 300,
    "writer_write": 60,
    "writer_ai": 10,
    "image_gen": 15,
    "billing": 30,
    "auth": 20,
    "login": 5,
}
"""The defaults of the domain; 0 means no limit."""
OFF = dict.fromkeys(PER_MINUTE, 0)
_READS = frozenset({"GET", "HEAD"})
_SPLIT = "writer"


class Counter(Protocol):
    """Counts by key, for a while."""

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """The count after adding; forgotten at the earliest `expiry` seconds after the first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands in a window."""

    limit: int
    used: int
    reset_s: int
    """Seconds until the window ends, at least 1."""

    @property
    def is_over(self) -> bool:
        """Whether this request is one too many."""
        return self.used > self.limit

    def headers(self) -> Headers:
        """As every answer says it."""
        remaining = max(0, self.limit - self.used)
        return [
            (b"x-throttle-limit", b"%d" % self.limit),
            (b"x-throttle-remaining", b"%d" % remaining),
            (b"x-throttle-reset", b"%d" % self.reset_s),
        ]


class Throttles:
    """Counts requests and refuses what is too many."""

    def __init__(self, counter: Counter, per_minute: Mapping[str, int] = PER_MINUTE) -> None:
        self._counter = counter
        self._per_minute = per_minute

    def scope_of(self, method: Method, verb: str) -> str:
        """The scope that a route counts in. Raises ContractError for one without a limit."""
        scope = scope_named(method.throttle, verb)
        if scope not in self._per_minute:
            raise ContractError(f"{method.path} names the unknown throttle {scope!r}")
        return scope

    async def count(self, scope: str, who: str) -> Standing | None:
        """Counts one request of an account or address; None where there is no limit."""
        limit = self._per_minute[scope]
        if not limit:
            return None
        shifted_s = clock.now().timestamp() + zlib.crc32(who.encode()) % WINDOW_S
        window, into_s = divmod(shifted_s, WINDOW_S)
        used = await self._counter.incr(f"{scope}:{who}:{int(window)}", WINDOW_S)
        return Standing(limit, used, max(1, round(WINDOW_S - into_s)))


def scope_named(throttle: str, verb: str) -> str:
    """The scope that a contract names, for requests with this verb."""
    if throttle != _SPLIT:
        return throttle
    return "writer_read" if verb in _READS else "writer_write"


def per_minute(text: str) -> Mapping[str, int]:
    """Limits as configured: `off`, or `name=number` separated by commas, the rest as it is.

    Raises ValueError with a sentence.
    """
    if text.strip() == "off":
        return OFF
    limits = dict(PER_MINUTE)
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, number = (each.strip() for each in part.partition("="))
        if name not in limits or not number.isascii() or not number.isdigit():
            raise ValueError(f"{part!r} is not a limit: names are {', '.join(limits)}")
        limits[name] = int(number)
    return limits
