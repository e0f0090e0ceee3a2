"""Runs the offline model on a socket until it is told to stop."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from standalone.offline_model.app import create_app
from standalone.offline_model.exchange import DROP_EXTENSION

KEEP_ALIVE_S = (
    75  # longer than clients keep idle connections, so that they never meet a closing one
)
STOP_WITHIN_S = 2
BACKLOG = 128


def serve(sock: socket.socket) -> None:
    """Serves on a listening socket until SIGTERM or SIGINT; an ignored one stays so. Blocks."""
    serve_and_tell(sock, lambda: None)


def serve_and_tell(sock: socket.socket, ready: Callable[[], None]) -> None:
    """As `serve`; calls `ready` once, when connections are answered."""
    config = uvicorn.Config(
        create_app(),
        http=_DroppableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_WITHIN_S,
        backlog=BACKLOG,
    )
    _Server(config, ready).run(sockets=[sock])


class _DroppableProtocol(HttpToolsProtocol):
    """Lets a request's handler close its own connection, which ASGI cannot express."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {DROP_EXTENSION: {"close": self.transport.close}}


class _Server(uvicorn.Server):
    """Stops with exit code 0, at once, and leaves ignored signals ignored."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A stalled answer would hold the process up; its client is being stopped as well.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = (signal.SIGTERM, signal.SIGINT)
        heard = [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self.handle_exit) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
