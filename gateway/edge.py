"""Around every request: ids, security headers, one log line, and the last word on errors."""

from __future__ import annotations

import logging
from typing import Any

from chassis import clock, interceptors
from chassis.errors import Refusal
from gateway import answers, errors
from gateway.bodies import ClientGone
from gateway.exchange import KEY, Exchange, exchange_of

log = logging.getLogger("gateway.requests")

SECURITY_HEADERS: answers.Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
# Answers are for one principal; whoever may be cached says so itself.
_NO_STORE = (b"cache-control", b"no-store")
_CLOSED = 499
"""In the log only: the client hung up before it was answered."""


class Edge:
    """The outermost ASGI application.

    Whatever is raised below ends here; only an answer that breaks off is left to the server,
    which closes the connection.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

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
        reply = _Reply(send, exchange)
        try:
            await self._app(scope, receive, reply)
        except ClientGone:
            reply.status = reply.status or _CLOSED
        except Refusal as refusal:
            await reply.refuse(refusal)
        except Exception:
            # The one place where unexpected errors end; the text stays in the log.
            log.exception("unexpected error", extra={"route": exchange.route})
            await reply.refuse(errors.internal())
        finally:
            _write_line(scope, exchange, reply.status, clock.elapsed_s() - started_s)


class _Reply:
    """The way back to the client; remembers the status and adds the common headers."""

    def __init__(self, send: Any, exchange: Exchange) -> None:
        self._send = send
        self._exchange = exchange
        self.status = 0
        self._finished = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *SECURITY_HEADERS]
            if not any(name == _NO_STORE[0] for name, _ in headers):
                headers.append(_NO_STORE)
            headers.append((b"x-request-id", self._exchange.request_id.encode()))
            message = {**message, "headers": headers}
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._finished = True

    async def refuse(self, refusal: Refusal) -> None:
        """Answers with an error, unless an answer has begun: then the connection just breaks."""
        self._exchange.outcome = refusal.reason
        if self._finished:
            return
        if self.status:
            raise ConnectionAbortedError(refusal.reason)
        await answers.send_answer(self, errors.refused(refusal, self._exchange.request_id))


def _write_line(scope: Any, exchange: Exchange, status: int, duration_s: float) -> None:
    if not log.isEnabledFor(logging.INFO):
        return
    client = scope.get("client")
    log.info(
        "request",
        extra={
            "method": scope["method"],
            "route": exchange.route or "-",
            "status": status,
            "reason": exchange.outcome,
            "duration_ms": round(duration_s * 1000, 1),
            "principal": exchange.principal,
            "account_id": exchange.account_id,
            "client": client[0] if client else "",
            "trace_id": exchange.traceparent[3:35],
        },
    )
