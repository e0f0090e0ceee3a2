"""Where an answer ends on the wire, in cases that uvicorn takes for usual ones."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_READS = frozenset({"GET", "HEAD"})


def sender_of(cycle: RequestResponseCycle) -> Any:
    """The ASGI `send` for a request."""
    if cycle.scope["http_version"] == "1.0":
        # It does not know interim answers either.
        cycle.waiting_for_100_continue = False
        return _Unchunked(cycle)
    if cycle.waiting_for_100_continue:
        if cycle.scope["method"] in _READS:
            # Nobody reads their bodies, but who waits for a hang-up would seem to ask for one.
            cycle.waiting_for_100_continue = cycle.keep_alive = False
            return cycle.send
        return _LastUnlessAsked(cycle)
    return cycle.send


class _LastUnlessAsked:
    """Ends the connection behind an answer that was given without `100 Continue`.

    Whoever hears it may send the body or not (RFC 9110, 10.1.1): nobody could tell.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    async def __call__(self, message: Any) -> None:
        if self._cycle.waiting_for_100_continue:
            self._cycle.keep_alive = False
        await self._cycle.send(message)


class _Unchunked:
    """For HTTP/1.0, which knows no chunks: without a length, the end is that of the connection."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._has_length = False

    async def __call__(self, message: Any) -> None:
        cycle = self._cycle
        if message["type"] == "http.response.start":
            self._has_length = any(name == b"content-length" for name, _ in message["headers"])
            if not self._has_length:
                cycle.chunked_encoding = False
        elif not self._has_length:
            cycle.expected_content_length = len(message.get("body", b""))
        await cycle.send(message)
