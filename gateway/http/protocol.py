"""One HTTP connection: uvicorn's protocol with the bounds that it lacks.

By itself it bounds neither a head, nor the time it may take, nor how many wait, nor a body that
goes on after its answer; and it forgets what it answers when another request has come behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chassis.errors import Refusal
from gateway.http import errors
from gateway.http.answers import BrokenOff
from gateway.http.arriving import Arriving, Place
from gateway.http.bounds import Bounds
from gateway.http.early import EarlyRefusals
from gateway.http.endings import sender_of
from gateway.http.exchange import CUT_OFF
from gateway.http.outgoing import Outgoing

REFUSED_MAX = 100
"""Connections beyond the bound that are kept open to be told so; any more are just closed."""
WAITING_MAX = 16
"""Requests that may wait on a connection behind the one that is answered."""
WAITING_BYTES_MAX = 64 * 1024
"""Of all of these together, when another comes; uvicorn reads no further into a larger body."""
_VERSIONS = frozenset({"1.0", "1.1"})


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounds on what comes, what waits, and what is not taken in.

    What is refused here never becomes a request: it gets the envelope and a log line all the same.
    """

    _outgoing: Outgoing
    _head_timer: asyncio.TimerHandle | None = None
    _is_one_too_many = False
    _refusal: Refusal | None = None
    """Why the parser was stopped."""
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
        self._arriving = Arriving(bounds.head_bytes)
        self.timeout_keep_alive = bounds.keep_alive_s  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock: a connection that says nothing is closed."""
        super().connection_made(transport)
        self._outgoing = Outgoing(self.loop, transport, self._bounds.write_timeout_s)
        self._start_timer()
        beyond = len(self.connections) - self._bounds.connections
        self._is_one_too_many = beyond > 0
        if beyond > REFUSED_MAX:
            self._early.note(errors.overloaded(), self._address())
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks, and tells the request that runs."""
        self._stop_timer()
        self._outgoing.stop()
        # uvicorn forgets this one when the client resets the connection.
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """The client has hung up, but may still take in what waits."""
        self._outgoing.close()

    def shutdown(self) -> None:
        """The server stops: ends an idle connection, and a busy one behind its answer."""
        super().shutdown()
        if self.transport.is_closing():
            self._outgoing.close()

    def pause_writing(self) -> None:
        """The client takes in less than is written; it gets some time to go on."""
        super().pause_writing()
        self._outgoing.watch()

    def resume_writing(self) -> None:
        """The client has taken in what waited, or most of it."""
        if not self.transport.is_closing():
            self._outgoing.unwatch()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Ends an idle connection, and one whose client never took in its last answer."""
        if self._outgoing.is_watched:
            # The client is still at its last answer, and bounded by that.
            self._start_idling()
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
            self._give_up()
            return
        if self._arriving.place is Place.BETWEEN:
            # Some clients send an empty line behind a body, which is no request.
            data = data.lstrip(b"\r\n")
        if self._is_deaf or not data:
            return
        self._arriving.take(len(data))
        self._unset_keepalive_if_required()
        if not self._parse(data):
            self._refuse(self._refusal or errors.not_http())
            return
        if (
            self._arriving.place is Place.HEAD
            and self._head_timer is None
            and not self._is_answering()
        ):
            # Only now: most heads come in one piece.
            self._start_timer()
        if self._arriving.is_too_much() and not self.transport.is_closing():
            self._refuse(errors.head_too_large(self._bounds.head_bytes))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header; what comes behind the body (trailers) nobody has asked for."""
        if self._arriving.place is Place.BODY:
            return
        super().on_header(name, value)
        if len(self.headers) > self._bounds.headers:
            # While they come: each takes far more memory than its bytes.
            self._refusal = errors.too_many_headers(self._bounds.headers)
            raise ValueError(self._refusal.reason)

    def on_body(self, body: bytes) -> None:
        """Hands the body on; what is not body is bounded by what is."""
        self._arriving.take_body(len(body))
        super().on_body(body)

    def on_message_begin(self) -> None:
        """A new request begins."""
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._arriving.begin()

    def on_headers_complete(self) -> None:
        """The head is there; its size is checked once more, whatever else came with it."""
        self._stop_timer()
        if _head_bytes(self.url, self.headers) > self._bounds.head_bytes:
            self._refusal = errors.head_too_large(self._bounds.head_bytes)
        elif self._waits_too_much():
            self._refusal = errors.overloaded()
        elif self.parser.get_http_version() not in _VERSIONS:
            self._refusal = errors.not_http()
        if self._refusal is not None:
            # Whatever is raised here stops the parser.
            raise ValueError(self._refusal.reason)
        super().on_headers_complete()
        if self.pipeline:
            # uvicorn has stopped reading; but then nobody would notice that the client hangs up.
            self.flow.resume_reading()
        self._arriving.end_head()

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        self._arriving.end()
        super().on_message_complete()
        if self._outgoing.stay():
            self._start_idling()

    def on_response_complete(self) -> None:
        """Turns to what has come meanwhile; a client that was answered early may finish."""
        self._outgoing.flush()
        super().on_response_complete()
        if self.transport.is_closing() or self._is_answering():
            return
        if self._parting is not None:
            self._part(self._parting)
        elif self._arriving.place is Place.HEAD:
            self._unset_keepalive_if_required()
            self._start_timer()
        elif self._arriving.place is Place.BODY:
            self._outgoing.linger()

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
        # Before it runs: what it writes and closes goes through what minds how long that takes.
        cycle.transport = self._outgoing  # type: ignore[assignment]
        self._outgoing.begin(cycle)
        send = sender_of(cycle)

        async def answer(scope: Any, receive: Any, _send: Any) -> None:
            try:
                await app(scope, receive, send)
            except BrokenOff:
                # It is in the log by now; uvicorn would write a traceback to it.
                cycle.disconnected = True
                self._outgoing.close()

        super()._start_asgi_task(cycle, answer)

    def _waits_too_much(self) -> bool:
        if not self.pipeline:
            return False
        waiting = [(cycle.scope, cycle.body) for cycle, _ in self.pipeline]
        size = sum(
            _head_bytes(scope["raw_path"] + scope["query_string"], scope["headers"]) + len(body)
            for scope, body in waiting
        )
        return len(waiting) >= WAITING_MAX or size > WAITING_BYTES_MAX

    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _refuse(self, refusal: Refusal) -> None:
        """Says why what comes is not taken, behind the answers to what was asked before."""
        self._stop_timer()
        is_body = self._arriving.place is Place.BODY
        if is_body and not self.cycle.response_complete:
            # Whoever reads the body will say so; a request that needs none is answered as it is.
            scope: Any = self.cycle.scope
            scope[CUT_OFF] = refusal
            self._end_with(self.cycle)
            self.cycle.message_event.set()
        elif self._is_answering():
            self._is_deaf, self._parting = True, refusal
        elif is_body:
            self._outgoing.close()
        else:
            self._part(refusal)

    def _part(self, refusal: Refusal) -> None:
        self._is_deaf = True
        self._unset_keepalive_if_required()
        self._outgoing.part(self._early.refuse(refusal, self._address()))

    def _end_with(self, cycle: RequestResponseCycle) -> None:
        """Closes the connection behind the answer to a request."""
        self._is_deaf = True
        cycle.keep_alive = False

    def _give_up(self) -> None:
        """Nothing has come for too long, or too many have come."""
        if not self.transport.is_closing():
            is_too_many = self._is_one_too_many
            refusal = errors.overloaded() if is_too_many else errors.request_timeout()
            self._outgoing.write(self._early.refuse(refusal, self._address()))
            self._outgoing.close()

    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _start_idling(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _start_timer(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(self._bounds.head_timeout_s, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _head_bytes(target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> int:
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
