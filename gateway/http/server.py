"""The HTTP server: uvicorn in the process's own loop, with bounded connections (`protocol`)."""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from gateway.http.bounds import BOUNDS, Bounds
from gateway.http.early import EarlyRefusals
from gateway.http.metrics import Metrics
from gateway.http.protocol import BoundedProtocol
from gateway.http.security import SecurityHeaders

DRAIN_S = 10
"""How long running requests may go on after a stop was asked for."""
BACKLOG = 2_048
"""Connections that wait to be accepted."""


class HttpServer(uvicorn.Server):
    """uvicorn without signal handling: the process decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the process."""
        yield


def http_server(
    app: Any,
    bounds: Bounds = BOUNDS,
    *,
    security: SecurityHeaders | None = None,
    metrics: Metrics | None = None,
    trusted_proxies: str = "",
) -> HttpServer:
    """A server for `app`; serve it with `await server.serve(sockets=[listening])`.

    Setting `should_exit` stops it: running requests get DRAIN_S to end. Behind one of
    `trusted_proxies` (addresses or networks, comma-separated) the client is who
    `X-Forwarded-For` says; nobody else is believed. `metrics` count what is refused before `app`.
    """
    protocol: Any = functools.partial(
        BoundedProtocol,
        bounds=bounds,
        early=EarlyRefusals(security or SecurityHeaders(), metrics or Metrics()),
    )
    return HttpServer(
        uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            loop="none",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=trusted_proxies != "",
            forwarded_allow_ips=trusted_proxies,
            timeout_graceful_shutdown=DRAIN_S,
            backlog=BACKLOG,
        )
    )


def listening_socket(
    address: str, inherited_fd: str = "", *, reuse_port: bool = False
) -> socket.socket:
    """The socket to serve on: an inherited one, or a new one bound to host:port.

    With `reuse_port` several processes may have one each for the same port; such a one takes no
    connection before it is served, because another process may be able to answer it. Raises
    OSError when the address is taken, ValueError when it is none.
    """
    if inherited_fd:
        return _ready(socket.socket(fileno=int(inherited_fd)))
    host, colon, port = address.rpartition(":")
    if not colon:
        # A bare port would mean every interface, which somebody has to say.
        raise ValueError(f"{address!r} names no host")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening.bind((host, int(port)))
    except (OSError, OverflowError, ValueError):
        listening.close()
        raise
    return listening if reuse_port else _ready(listening)


def _ready(listening: socket.socket) -> socket.socket:
    # Who connects before the server runs waits instead of being refused.
    listening.listen(BACKLOG)
    listening.settimeout(0)
    return listening
