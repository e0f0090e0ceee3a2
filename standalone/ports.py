"""Ports on the loopback interface that nobody else gets while we need them."""

from __future__ import annotations

import random
import socket

from standalone.failures import Failure

HOST = "127.0.0.1"
USUAL_PORT = 8000
"""Of the REST API when nothing else is said."""
BACKLOG = 1024
# Below what systems give to outgoing connections: a client that keeps calling a port of that
# range while nobody listens there can end up connected to itself, and block the port.
QUIET_PORTS = range(20_000, 32_000)
ATTEMPTS_MAX = 100


def hold_port() -> socket.socket:
    """Binds a free port without listening; children that share ports can listen on it.

    While it is held, no other program is given the port, also between two lives of a child.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((HOST, 0))
    return sock


def listen(port: int) -> socket.socket:
    """Listens on the port, 0 for a free one. Raises Failure when it is taken or forbidden."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise Failure(
            f"Port {port} cannot be used ({reason}); choose another with --port."
        ) from error
    return sock


def quiet_port() -> int:
    """A port that was free a moment ago, for programs that bind by themselves."""
    for _ in range(ATTEMPTS_MAX):
        port = random.choice(QUIET_PORTS)  # noqa: S311  not a secret
        with socket.socket() as sock:
            try:
                sock.bind((HOST, port))
            except OSError:
                continue
            return port
    raise Failure("There is no free port on this machine.")


def address_of(sock: socket.socket) -> str:
    """host:port of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"
