"""The HTTP server: uvicorn in the process's own loop, with bounds that it lacks by itself.

uvicorn bounds neither the head of a request, nor the time it may take to arrive, nor a body that
goes on after its answer, nor how long a client leaves an answer unread; all are bounded here.
Malformed requests are answered in the envelope.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from chassis import ids
from chassis.errors import Kind, Refusal
from gateway import errors
from gateway.answers import Answer

HEAD_BYTES_MAX = 32 * 1024
"""Request line and headers together."""
HEAD_TIMEOUT_S = 10.0
"""From the first byte of a request (or the connection) to the end of its headers."""
KEEP_ALIVE_S = 30
LINGER_S = 5.0
"""How long the rest of a body is still taken in after its answer, and thrown away. To close at
once would reset the connection, and most clients would never see why they were refused."""
WRITE_STALL_S = 10.0
"""How long a client may leave what was written for it untouched; then its connection is cut."""
DRAIN_S = 10
"""How long running requests may go on after a stop was asked for."""
CONNECTIONS_MAX = 4_096
BACKLOG = 2_048

_MALFORMED = Refusal(Kind.INVALID_ARGUMENT, "MALFORMED_REQUEST", "This is not an HTTP request.")
_HEAD_TOO_LARGE = Refusal(
    Kind.INVALID_ARGUMENT,
    "HEADERS_TOO_LARGE",
    f"The address and headers are larger than {HEAD_BYTES_MAX} bytes.",
)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a bounded head and a bounded rest."""

    _head_bytes = 0
    _in_head = True
    _in_body = False
    _linger_timer: asyncio.TimerHandle | None = None
    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _refusal: Refusal | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock: a connection that says nothing is closed."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        self._stop_timer()
        self._stop_lingering()
        self._stop_stalling()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read: starts the clock. Closing would wait for it for ever."""
        super().pause_writing()
        self._stop_stalling()
        self._stall_timer = self.loop.call_later(WRITE_STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read."""
        self._stop_stalling()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Counts what arrives before the headers are complete."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_timer is None:
                self._start_timer()
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self._refuse(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A new request begins."""
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._in_head, self._head_bytes = True, 0
        self._start_timer()

    def on_headers_complete(self) -> None:
        """The head is there; its size is checked once more, whatever else came with it."""
        self._stop_timer()
        self._in_head, self._in_body = False, True
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_BYTES_MAX:
            self._refusal = _HEAD_TOO_LARGE
            raise ValueError("the head is too large")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        self._in_head, self._in_body, self._head_bytes = True, False, 0
        super().on_message_complete()
        if self._stop_lingering():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """Gives a client that was answered early some time to finish its request."""
        super().on_response_complete()
        # Behind a pipelined request `cycle` is another one, whose body is still wanted.
        if self._in_body and self.cycle.response_complete and not self.transport.is_closing():
            self._linger_timer = self.loop.call_later(LINGER_S, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Answers what the parser refused."""
        del msg
        self._refuse(self._refusal or _MALFORMED)

    def _refuse(self, refusal: Refusal) -> None:
        self._stop_timer()
        if self.cycle is not None and not self.cycle.response_complete:
            # An answer is on its way on this connection; nothing may be written into it.
            self.transport.close()
            return
        answer = errors.refused(refusal, ids.new_id())
        self.transport.write(_as_bytes(answer))
        self.transport.close()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_lingering(self) -> bool:
        timer, self._linger_timer = self._linger_timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _stop_stalling(self) -> None:
        timer, self._stall_timer = self._stall_timer, None
        if timer is not None:
            timer.cancel()

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self._refuse(errors.request_timeout())


class HttpServer(uvicorn.Server):
    """uvicorn without signal handling: the process decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the process."""
        yield


def http_server(app: Any) -> HttpServer:
    """A server for `app`; serve it with `await server.serve(sockets=[listening])`.

    Setting `should_exit` stops it: running requests get DRAIN_S to end.
    """
    return HttpServer(
        uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            loop="none",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
            limit_concurrency=CONNECTIONS_MAX,
            backlog=BACKLOG,
        )
    )


def listening_socket(address: str, inherited_fd: str = "") -> socket.socket:
    """The socket to serve on: an inherited one, or a new one bound to host:port.

    Raises OSError when the address is taken.
    """
    if inherited_fd:
        return _ready(socket.socket(fileno=int(inherited_fd)))
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, int(port)))
    except OSError:
        listening.close()
        raise
    return _ready(listening)


def _ready(listening: socket.socket) -> socket.socket:
    # Who connects before the server runs waits instead of being refused.
    listening.listen(BACKLOG)
    listening.settimeout(0)
    return listening


def _as_bytes(answer: Answer) -> bytes:
    head = [
        STATUS_LINE[answer.status],
        b"content-type: application/json\r\n",
        b"content-length: " + str(len(answer.body)).encode() + b"\r\n",
        b"connection: close\r\n\r\n",
    ]
    return b"".join(head) + answer.body
