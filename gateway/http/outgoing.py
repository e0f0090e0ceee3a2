"""What goes out to a client: in few packets, and taken in by it, in time, or given up."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

LINGER_S = 5.0
"""How long what a client still sends is taken in after its last answer, and thrown away. To close
at once would reset the connection, and most clients would never see why they were refused."""
READ_BYTES_MIN = 4 * 1024
"""What a client takes in, within the time for it, of an answer that waits; else it is cut off."""


class Outgoing:
    """What is written to one client, and the end of its connection.

    For uvicorn's cycles this is the transport: they write, and they close.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, timeout_s: float
    ) -> None:
        """`timeout_s` is the time to take in READ_BYTES_MIN."""
        self._loop = loop
        self._transport = transport
        self._timeout_s = timeout_s
        self._watch_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._unread_bytes = 0
        """When it was last looked at."""
        self._answer: RequestResponseCycle | None = None
        self._head = b""

    def begin(self, answer: RequestResponseCycle) -> None:
        """The head of an answer comes next, and goes with what comes behind it."""
        self._answer = answer

    def write(self, data: bytes) -> None:
        """Writes to the client."""
        if self._answer is not None and self._answer.response_started:
            # No interim answer (100), which comes before.
            self._answer, self._head = None, data
        elif self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Nothing comes behind the head."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._transport.is_closing()

    @property
    def is_watched(self) -> bool:
        """Whether the client will be cut off if it takes in nothing."""
        return self._watch_timer is not None

    def watch(self) -> None:
        """Looks from time to time whether the client has taken in something."""
        if self._watch_timer is None:
            self._unread_bytes = self._transport.get_write_buffer_size()
            self._watch_timer = self._loop.call_later(self._timeout_s, self._look)

    def unwatch(self) -> None:
        """All is taken in."""
        if self._watch_timer is not None:
            self._watch_timer.cancel()
            self._watch_timer = None

    def linger(self) -> None:
        """Closes when the client has had time to finish what it sends."""
        if self._linger_timer is None:
            self._linger_timer = self._loop.call_later(LINGER_S, self.close)

    def stay(self) -> bool:
        """The client has finished, or is gone; whether that was waited for."""
        timer, self._linger_timer = self._linger_timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def close(self) -> None:
        """Closes behind what waits, for as long as the client takes it in."""
        self.stay()
        self.flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self.watch()

    def part(self, last: bytes) -> None:
        """Says a last word, and closes when the client does, but soon."""
        if self._transport.is_closing():
            return
        self.write(last)
        self._transport.write_eof()
        if self._transport.get_write_buffer_size():
            self.watch()
        self.linger()

    def stop(self) -> None:
        """The connection is gone."""
        self.unwatch()
        self.stay()

    def _look(self) -> None:
        self._watch_timer = None
        unread_bytes = self._transport.get_write_buffer_size()
        if not unread_bytes:
            return
        if self._unread_bytes - unread_bytes < READ_BYTES_MIN:
            self._transport.abort()
        else:
            self.watch()
