"""Answers of others, remembered for a moment so that they are not asked again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from chassis import clock

REMEMBERED_MAX = 10_000
"""Values of one memory."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Values by key for a moment, the oldest dropped first, droppable by account."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._values: OrderedDict[K, tuple[V, float, str]] = OrderedDict()
        self.forgotten = 0
        """How often something was forgotten: who read before that must not remember after."""

    def get(self, key: K) -> V | None:
        """The value, unless its moment is over."""
        known = self._values.get(key)
        if known is None or known[1] <= clock.elapsed_s():
            return None
        return known[0]

    def put(self, key: K, value: V, account_id: str, asked: int) -> None:
        """Remembers a value that was asked for when `forgotten` was `asked`."""
        if asked != self.forgotten:
            return
        self._values[key] = (value, clock.elapsed_s() + self._ttl_s, account_id)
        self._values.move_to_end(key)
        if len(self._values) > REMEMBERED_MAX:
            self._values.popitem(last=False)

    def forget(self, account_id: str) -> None:
        """Drops all values of an account."""
        self.forgotten += 1
        for key in [key for key, known in self._values.items() if known[2] == account_id]:
            del self._values[key]
