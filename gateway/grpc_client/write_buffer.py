"""What goes to a service: with one call of the system for all that a turn of the loop has to say.

A gateway under load takes up a dozen requests in a turn. Sent one by one, each of their calls
costs the kernel as much as its answer does, and wakes the service.
"""

from __future__ import annotations

import asyncio


class WriteBuffer:
    """For a connection this is its transport: it writes, and it closes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._waiting: list[bytes] = []

    def write(self, *pieces: bytes) -> None:
        """Sends before long, behind all that was written before."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting += pieces

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Closes behind what was written."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Closes at once."""
        self._transport.abort()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting and not self._transport.is_closing():
            self._transport.write(b"".join(waiting))
