"""Around every request: ids, common headers, one log line, metrics, and the last word on errors."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from chassis import clock, interceptors
from chassis.errors import Refusal
from chassis.log_line import Line
from gateway.http import answers, errors
from gateway.http.answers import BrokenOff, Header, Headers
from gateway.http.bounds import Bounds
from gateway.http.exchange import KEY, Exchange, exchange_of
from gateway.http.hangups import ClientGone
from gateway.http.metrics import Metrics
from gateway.http.security import SecurityHeaders

log = logging.getLogger("gateway.requests")

_CLOSED = 499
_GONE = "CLIENT_GONE"
"""In log and metrics only: the client hung up before it was answered, or before the end."""


class Edge:
    """The outermost ASGI application.

    Whatever is raised below ends here, but BrokenOff, which is for the connection.
    """

    def __init__(
        self, app: Any, security: SecurityHeaders, metrics: Metrics, bounds: Bounds
    ) -> None:
        self._app = app
        self._security = security
        self._metrics = metrics
        self._bounds = bounds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one HTTP request; refuses WebSockets."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            return
        started_s = clock.elapsed_s()
        exchange = exchange_of(scope)
        scope[KEY] = exchange
        interceptors.request_id.set(exchange.request_id)
        interceptors.traceparent.set(exchange.traceparent)
        reply = _Reply(send, exchange, self._security)
        self._metrics.began()
        try:
            self._check(scope, exchange)
            await self._app(scope, receive, reply)
        except ClientGone:
            reply.status = reply.status or _CLOSED
            exchange.outcome = _GONE
        except Refusal as refusal:
            await reply.refuse(refusal)
        except Exception:
            # The one place where unexpected errors end; the text stays in the log.
            log.exception("unexpected error", extra={"route": exchange.route})
            await reply.refuse(errors.internal())
        finally:
            duration_s = clock.elapsed_s() - started_s
            self._metrics.ended(exchange.route, scope["method"], reply.status, duration_s)
            _write_line(scope, exchange, reply, duration_s)

    def _check(self, scope: Any, exchange: Exchange) -> None:
        is_unnamed = b"host" not in exchange.headers and scope["http_version"] == "1.1"
        if is_unnamed or b"host" in exchange.repeated:
            raise errors.not_one_host()
        coding = exchange.headers.get(b"transfer-encoding")
        if coding is not None and coding.strip().lower() != b"chunked":
            raise errors.transfer_coding_unknown()
        if len(scope["query_string"]) > self._bounds.query_bytes:
            raise errors.address_too_long(self._bounds.query_bytes)


class _Reply:
    """The way back to the client; remembers the status and adds the common headers."""

    def __init__(self, send: Any, exchange: Exchange, security: SecurityHeaders) -> None:
        self._send = send
        self._exchange = exchange
        self._security = security
        self.status = 0
        self.body_bytes = 0
        self._start: Any = None
        """Kept back until there is something behind it: together they are one packet."""
        self._finished = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = self._headers(message.get("headers", ()))
            self._start = {"type": message["type"], "status": self.status, "headers": headers}
            return
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)
        await self._send(message)
        if message["type"] == "http.response.body":
            self.body_bytes += len(message.get("body", b""))
            self._finished = not message.get("more_body", False)

    def _headers(self, sent: Iterable[Header]) -> Headers:
        exchange = self._exchange
        headers = [*sent]
        if exchange.reply_headers:
            named = {name for name, _ in headers}
            headers += [header for header in exchange.reply_headers if header[0] not in named]
        return [
            *headers,
            *self._security.missing(headers),
            (b"x-request-id", exchange.request_id.encode()),
            (b"x-trace-id", exchange.trace_id.encode()),
        ]

    async def refuse(self, refusal: Refusal) -> None:
        """Answers with an error, unless an answer has begun: then the connection just breaks."""
        self._exchange.outcome = refusal.reason
        if self._finished:
            return
        if self.status and self._start is None:
            raise BrokenOff(refusal.reason)
        answer = errors.refused(refusal, self._exchange.request_id)
        await answers.send_answer(self, answer)


def _write_line(scope: Any, exchange: Exchange, reply: _Reply, duration_s: float) -> None:
    if not log.isEnabledFor(logging.INFO):
        return
    line = Line(
        log.name,
        "request",
        {
            "method": scope["method"],
            "route": exchange.route or "-",
            "status": reply.status,
            "reason": exchange.outcome,
            "duration_ms": round(duration_s * 1000, 1),
            "principal": exchange.principal,
            "account_id": exchange.account_id,
            "client": exchange.client_address,
            "origin": exchange.origin,
            "body_bytes": reply.body_bytes,
        },
    )
    log.handle(line)
