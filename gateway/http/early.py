"""What is refused before it is a request: answered, counted and logged like one.

Strangers can send such things without end, so the log has a bounded number of them; the metrics
count all.
"""

from __future__ import annotations

import logging
from email.utils import format_datetime

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from chassis import clock
from chassis.errors import Refusal
from gateway.http import errors
from gateway.http.exchange import Exchange, exchange_without_request
from gateway.http.metrics import Metrics
from gateway.http.security import SecurityHeaders

log = logging.getLogger("gateway.requests")

LINES_MAX = 60
"""Lines in the log within a window; what comes then is only counted, and one line says so."""
WINDOW_S = 60.0


class EarlyRefusals:
    """Refuses what never became a request, for all connections of a server."""

    def __init__(self, security: SecurityHeaders, metrics: Metrics) -> None:
        self._security = security
        self._metrics = metrics
        self._window_ends_s = 0.0
        self._lines = 0

    def refuse(self, refusal: Refusal, client_address: str) -> bytes:
        """The last answer of a connection, as it goes on the wire; counted and noted."""
        return self._answer(refusal, self.note(refusal, client_address))

    def note(self, refusal: Refusal, client_address: str) -> Exchange:
        """Counts it and writes its line."""
        exchange = exchange_without_request(client_address)
        status = errors.status_of(refusal)
        self._metrics.refused_early(status)
        if self._has_room():
            log.info(
                "refused before it was a request",
                extra={
                    "request_id": exchange.request_id,
                    "trace_id": exchange.trace_id,
                    "status": status,
                    "reason": refusal.reason,
                    "client": client_address,
                },
            )
        return exchange

    def _answer(self, refusal: Refusal, exchange: Exchange) -> bytes:
        answer = errors.refused(refusal, exchange.request_id)
        headers = [
            (b"content-type", answer.media_type),
            (b"content-length", b"%d" % len(answer.body)),
            *(header for header in answer.headers if header[0] != b"connection"),
            *self._security.missing(answer.headers),
            (b"x-request-id", exchange.request_id.encode()),
            (b"x-trace-id", exchange.trace_id.encode()),
            (b"date", format_datetime(clock.now(), usegmt=True).encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%s: %s\r\n" % header for header in headers]
        return b"".join([STATUS_LINE[answer.status], *lines, b"\r\n", answer.body])

    def _has_room(self) -> bool:
        now_s = clock.elapsed_s()
        if now_s >= self._window_ends_s:
            self._window_ends_s, self._lines = now_s + WINDOW_S, 0
        self._lines += 1
        if self._lines == LINES_MAX + 1:
            log.info("more that is refused before it is a request is only counted for a while")
        return self._lines <= LINES_MAX
