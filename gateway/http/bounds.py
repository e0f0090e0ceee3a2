"""How much a request may take, and how long: every bound with its default and its variable.

What a contract bounds (items of a list, characters of a text) is not here: the service says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chassis.settings import Settings, SettingsError

BODY_BYTES_CEILING = 8 * 1024 * 1024
"""The largest body that may be configured: as a message it must pass gRPC's own limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The bounds of one gateway."""

    head_bytes: int = 32 * 1024
    """Request line and headers together; beyond: 431."""
    headers: int = 100
    """Header lines; beyond: 431."""
    query_bytes: int = 8 * 1024
    """The query string; beyond: 414."""
    body_bytes: int = 1024 * 1024
    """Beyond: 413."""
    items: int = 1_000
    """Items of any one list in a body; beyond: 400 TOO_MANY_ITEMS."""
    connections: int = 4_096
    """Open at once; beyond: 503."""
    head_timeout_s: float = 10.0
    """From the first byte of a request (or the connection) to the end of its headers; then 408."""
    body_timeout_s: float = 15.0
    """From the first byte asked for to the last one received; then 408."""
    write_timeout_s: float = 10.0
    """How long a client may take in next to nothing of an answer that waits; then it is cut off."""
    keep_alive_s: float = 30.0
    """How long a connection without a request is kept."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Bounds:
        """Reads what is configured. Raises SettingsError."""
        own = cls()
        found: dict[str, Any] = {
            "head_bytes": settings.whole_number(
                "WRITER_HEAD_BYTES_MAX", own.head_bytes, minimum=1_024
            ),
            "headers": settings.whole_number("WRITER_HEADERS_MAX", own.headers, minimum=10),
            "query_bytes": settings.whole_number(
                "WRITER_QUERY_BYTES_MAX", own.query_bytes, minimum=256
            ),
            "body_bytes": settings.whole_number(
                "WRITER_BODY_BYTES_MAX", own.body_bytes, minimum=1_024
            ),
            "items": settings.whole_number("WRITER_ITEMS_MAX", own.items, minimum=10),
            "connections": settings.whole_number(
                "WRITER_CONNECTIONS_MAX", own.connections, minimum=1
            ),
            "head_timeout_s": settings.number(
                "WRITER_HEAD_TIMEOUT_S", own.head_timeout_s, minimum=0.1
            ),
            "body_timeout_s": settings.number(
                "WRITER_BODY_TIMEOUT_S", own.body_timeout_s, minimum=0.1
            ),
            "write_timeout_s": settings.number(
                "WRITER_WRITE_TIMEOUT_S", own.write_timeout_s, minimum=0.1
            ),
            "keep_alive_s": settings.number("WRITER_KEEP_ALIVE_S", own.keep_alive_s, minimum=0.1),
        }
        if found["body_bytes"] > BODY_BYTES_CEILING:
            raise SettingsError(f"WRITER_BODY_BYTES_MAX must be at most {BODY_BYTES_CEILING}")
        return cls(**found)


BOUNDS = Bounds()
"""The usual ones."""
