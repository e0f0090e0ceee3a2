"""Noticing that a client has hung up, so that what only it waits for is given up.

For reads: a write that has begun goes on, whoever still listens.
"""

from __future__ import annotations

import asyncio
from typing import Any

WATCH_AFTER_S = 0.05
"""A read that takes longer is given up when its client hangs up; shorter ones are not worth it."""


class HangUp:
    """Cancels a call when the client hangs up before it is answered."""

    def __init__(self, call: Any, receive: Any) -> None:
        self._call = call
        self._receive = receive
        self.client_is_gone = False
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start)

    def stop(self) -> None:
        """Ends the watch; the call is over."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _start(self) -> None:
        self._task = asyncio.ensure_future(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.client_is_gone = True
        self._call.cancel()
