"""How many calls a service takes at once, and who waits until one has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from itertools import islice

from gateway.grpc_client import frames
from gateway.grpc_client.calls import CallFailed


class Places:
    """Places for calls, given away in the order in which they were asked for.

    Whoever is given one takes it before anything else runs, by starting a call.
    """

    def __init__(self, calls: Sized) -> None:
        self._calls = calls
        self._max = frames.STREAM_MAX
        self._waiting: dict[asyncio.Future[None], None] = {}

    @property
    def are_taken(self) -> bool:
        """Whether a new call has to wait; nobody overtakes those who do."""
        return len(self._calls) >= self._max or bool(self._waiting)

    def bound(self, calls_max: int) -> None:
        """The service takes so many from now on; those that run may be more."""
        self._max = calls_max
        self.give()

    async def one(self) -> None:
        """Waits for a place; the caller bounds the wait. Raises CallFailed."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[mine] = None
        try:
            await mine
        except asyncio.CancelledError:
            del self._waiting[mine]
            # It may have been given to us already.
            self.give()
            raise
        del self._waiting[mine]

    def give(self) -> None:
        """Wakes as many as there are places."""
        if self._waiting:
            for each in islice(self._waiting, max(0, self._max - len(self._calls))):
                if not each.done():
                    each.set_result(None)

    def refuse(self, error: CallFailed) -> None:
        """There will be no more places."""
        for each in self._waiting:
            if not each.done():
                each.set_exception(error)
