"""The answer to one reader: frames go out, and it is noticed when nobody is there any more."""

from __future__ import annotations

import secrets
from typing import Any

from chassis import clock
from gateway.streams import event_format

RETRY_MS = 1_000
RETRY_SPREAD_MS = 2_000
"""Readers that were sent away together come back over this time."""


class Outlet:
    """Writes server-sent events; knows the last id that the reader has been given."""

    def __init__(self, receive: Any, send: Any) -> None:
        self.written_s = clock.elapsed_s()
        """When something was written last (clock.elapsed_s)."""
        self._receive = receive
        self._send = send
        self._position = -1

    async def open(self, position: int, opening: bytes) -> None:
        """Begins the answer. A reader with a position, not -1, can go on from there at once."""
        self._position = position
        await self._send(
            {"type": "http.response.start", "status": 200, "headers": list(event_format.HEADERS)}
        )
        place = None if position < 0 else position
        await self.write(event_format.greeting(_retry_ms(), place) + opening)

    async def write(self, chunk: bytes, position: int | None = None) -> None:
        """Sends frames, the last of which may have this id; waits for a reader that is slow.

        Nothing happens when the reader is gone.
        """
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        self.written_s = clock.elapsed_s()
        if position is not None:
            self._position = position

    async def beat(self, position: int) -> None:
        """Says that the stream is alive, and how far the reader has come without an event."""
        place = position if position > self._position else None
        await self.write(event_format.heartbeat("heartbeat", place), place)

    async def close(self, reason: str, *, come_back: bool, event_id: str = "") -> None:
        """Says why the stream ends, and ends the answer."""
        hint = f"retry: {_retry_ms()}\n".encode() if come_back else b""
        await self.write(hint + event_format.end(reason, come_back=come_back, event_id=event_id))
        await self._send({"type": "http.response.body", "body": b""})

    async def hung_up(self) -> None:
        """Returns when the reader has closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _retry_ms() -> int:
    return RETRY_MS + secrets.randbelow(RETRY_SPREAD_MS)
