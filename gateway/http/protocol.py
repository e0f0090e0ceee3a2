"""One HTTP connection: uvicorn's protocol with the bounds that it lacks.

By itself it bounds neither the head of a request, nor the time it may take to arrive, nor a body
that goes on after its answer, nor a client that reads nothing; and it forgets the request that it
answers when another has come behind it. Malformed requests are answered in the envelope (`early`).
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chassis.errors import Refusal
from gateway.http import errors
from gateway.http.answers import BrokenOff
from gateway.http.bounds import Bounds
from gateway.http.early import EarlyRefusals
from gateway.http.exchange import CUT_OFF

LINGER_S = 5.0
"""How long the rest of a body is still taken in after its answer, and thrown away. To close at
once would reset the connection, and most clients would never see why they were refused."""
READ_BYTES_MIN = 4 * 1024
"""What a client takes in, within the time for it, of an answer that waits; else it is cut off."""
FRAME_BYTES_MAX = 6
"""Around each byte of a body that comes in the smallest chunks."""
REFUSED_MAX = 100
"""Connections beyond the bound that are kept open to be told so; any more are just closed."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounds on the head, the rest, and a reader that reads nothing.

    What is refused here never becomes a request: it gets the envelope and a log line all the same.
    """

    _head_bytes = 0
    _in_head = True
    _head_has_begun = False
    _is_one_too_many = False
    _in_body = False
    _body_bytes = 0
    _frame_bytes = 0
    """Received since the head and no body: the frames of chunks, and trailers."""
    _linger_timer: asyncio.TimerHandle | None = None
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _unread_bytes = 0
    """Of the answer, when it was last looked at."""
    _refusal: Refusal | None = None
    _answering: RequestResponseCycle | None = None
    """The request that runs, or ran last; `cycle` is the one that was read last."""
    _is_deaf = False
    """Whether what still comes is thrown away: the connection ends with its last answer."""
    _parting: Refusal | None = None
    """What is said behind that answer."""

    def __init__(self, *args: Any, bounds: Bounds, early: EarlyRefusals, **more: Any) -> None:
        super().__init__(*args, **more)
        self._bounds = bounds
        self._early = early
        self.timeout_keep_alive = bounds.keep_alive_s  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock: a connection that says nothing is closed."""
        super().connection_made(transport)
        self._start_timer()
        beyond = len(self.connections) - self._bounds.connections
        self._is_one_too_many = beyond > 0
        if beyond > REFUSED_MAX:
            self._early.note(errors.overloaded(), self._address())
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks, and tells the request that runs."""
        self._stop_timer()
        self._stop_lingering()
        self._stop_write_timer()
        self.pipeline.clear()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes in less than is written; it gets some time to go on."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """The client has taken in what waited."""
        self._stop_write_timer()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Ends an idle connection, and one whose client never took in its last answer."""
        if self._write_timer is not None:
            # The client is still at its last answer, and bounded by that.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
            return
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def data_received(self, data: bytes) -> None:
        """Reads what has come, within the bounds of a head and of what is around a body.

        The parser is called here: uvicorn would write a warning for whatever a stranger sends.
        """
        if self._is_one_too_many:
            # Only now: whoever is refused before it has spoken sees a broken connection.
            if not self.transport.is_closing():
                self._refuse(errors.overloaded())
            return
        if self._is_between():
            # Some clients send an empty line behind a body, which is no request.
            data = data.lstrip(b"\r\n")
        if self._is_deaf or not data:
            return
        if self._in_head:
            self._head_bytes += len(data)
        elif self._in_body:
            self._frame_bytes += len(data)
        self._unset_keepalive_if_required()
        if not self._parse(data):
            self._refuse(self._refusal or errors.not_http())
            return
        if self._head_has_begun and self._head_timer is None and not self._is_answering():
            # Only now: most heads come in one piece.
            self._start_timer()
        if self._is_too_much() and not self.transport.is_closing():
            self._refuse(errors.head_too_large(self._bounds.head_bytes))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header; what comes behind the body (trailers) nobody has asked for."""
        if not self._in_body:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Hands the body on; what is not body is bounded by what is."""
        self._body_bytes += len(body)
        self._frame_bytes -= len(body)
        super().on_body(body)

    def on_message_begin(self) -> None:
        """A new request begins."""
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._in_head, self._head_bytes, self._head_has_begun = True, 0, True

    def on_headers_complete(self) -> None:
        """The head is there; its size is checked once more, whatever else came with it."""
        self._stop_timer()
        self._head_has_begun = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._bounds.head_bytes:
            self._refusal = errors.head_too_large(self._bounds.head_bytes)
            raise ValueError("the head is too large")
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self._body_bytes = self._frame_bytes = 0

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        self._in_head, self._in_body, self._head_bytes = True, False, 0
        super().on_message_complete()
        if self._stop_lingering():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """Turns to what has come meanwhile; a client that was answered early may finish."""
        super().on_response_complete()
        if self.transport.is_closing() or self._is_answering():
            return
        if self._parting is not None:
            self.transport.write(self._early.refuse(self._parting, self._address()))
            self.transport.close()
        elif self._head_has_begun:
            self._unset_keepalive_if_required()
            self._start_timer()
        elif self._in_body:
            self._linger_timer = self.loop.call_later(LINGER_S, self.transport.close)

    def _parse(self, data: bytes) -> bool:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing is upgraded to here: it is answered, and what may come then is not read.
            self._end_with(self.cycle)
        except httptools.HttpParserError:
            return False
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except BrokenOff:
                # It is in the log by now; uvicorn would write a traceback to it.
                cycle.disconnected = True
                self.transport.close()

        super()._start_asgi_task(cycle, answer)

    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _is_between(self) -> bool:
        return self._in_head and not self._head_has_begun

    def _refuse(self, refusal: Refusal) -> None:
        """Says why the connection ends, behind the answers to what was asked before."""
        self._stop_timer()
        if self._in_body and not self.cycle.response_complete:
            # Whoever reads the body will say so; a request that needs none is answered as it is.
            scope: Any = self.cycle.scope
            scope[CUT_OFF] = refusal
            self._end_with(self.cycle)
            self.cycle.message_event.set()
        elif self._is_answering():
            self._is_deaf, self._parting = True, refusal
        else:
            if not self._in_body:
                self.transport.write(self._early.refuse(refusal, self._address()))
            self.transport.close()

    def _end_with(self, cycle: RequestResponseCycle) -> None:
        """Closes the connection behind the answer to a request."""
        self._is_deaf = True
        cycle.keep_alive = False

    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _is_too_much(self) -> bool:
        if self._in_head:
            return self._head_bytes > self._bounds.head_bytes
        frames_max = self._bounds.head_bytes + FRAME_BYTES_MAX * self._body_bytes
        return self._in_body and self._frame_bytes > frames_max

    def _start_timer(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(self._bounds.head_timeout_s, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _await_reading(self) -> None:
        """Looks again later whether the client has taken in something."""
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(
            self._bounds.write_timeout_s, self._look_at_reading
        )

    def _look_at_reading(self) -> None:
        if self._unread_bytes - self.transport.get_write_buffer_size() < READ_BYTES_MIN:
            self.transport.abort()
        else:
            self._await_reading()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _stop_lingering(self) -> bool:
        timer, self._linger_timer = self._linger_timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            is_too_many = self._is_one_too_many
            self._refuse(errors.overloaded() if is_too_many else errors.request_timeout())
