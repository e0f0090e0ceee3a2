"""Noticing that a client has hung up, so that what only it waits for is given up.

For reads: a write that has begun goes on, whoever still listens.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

WATCH_AFTER_S = 0.05
"""A read that takes longer is given up when its client hangs up; shorter ones are not worth it."""


class ClientGone(Exception):
    """The client has hung up; nobody waits for an answer."""


class HangUp:
    """A block that ends with ClientGone when the client hangs up before it is answered."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._reader = asyncio.current_task()
        self._is_gone = False
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self._is_gone and isinstance(error, asyncio.CancelledError) and self._reader is not None:
            self._reader.uncancel()
            raise ClientGone from None

    def _start(self) -> None:
        self._watch = asyncio.ensure_future(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._reader is not None:
            self._is_gone = True
            self._reader.cancel()
