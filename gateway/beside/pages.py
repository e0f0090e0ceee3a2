"""Pages that no contract declares: the gateway's health, and the keys that its tokens bear."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from gateway.http import answers
from gateway.http.answers import Answer
from gateway.http.exchange import Exchange
from gateway.http.routes import Routes
from gateway.upstream.services import Upstream

ALIVE_PATH, READY_PATH = "/healthz", "/readyz"
JWKS_PATH = "/.well-known/jwks.json"
NO_KEYS = b'{"keys": []}'
_JWKS_CACHED = (b"cache-control", b"public, max-age=300")
"""Half of the time that passes before a new key signs."""
_JWKS_TYPE = b"application/jwk-set+json"

Respond = Callable[[Exchange], Awaitable[Answer]]


class Page:
    """Answers GET and HEAD of one address, whoever asks."""

    def __init__(self, path: str, respond: Respond) -> None:
        self.path = path
        self._respond = respond

    async def serve(
        self,
        scope: Mapping[str, Any],
        receive: Any,
        send: Any,
        path: Mapping[str, str],
        exchange: Exchange,
    ) -> None:
        """Sends the page. Raises Refusal."""
        del receive, path
        exchange.route = self.path
        answer = await self._respond(exchange)
        await answers.send_answer(send, answer, is_head=scope["method"] == "HEAD")


def add_pages(routes: Routes[Any], pages: Mapping[str, Respond]) -> None:
    """Adds what answers at each path."""
    for path, respond in pages.items():
        page = Page(path, respond)
        for verb in ("GET", "HEAD"):
            routes.add(verb, path, page)


def health(upstream: Upstream) -> dict[str, Respond]:
    """Whether the process lives, and whether all services behind it answer."""

    async def alive(exchange: Exchange) -> Answer:
        return _status("alive", exchange)

    async def ready(exchange: Exchange) -> Answer:
        missing = await upstream.not_ready()
        return _not_ready(missing, exchange) if missing else _status("ready", exchange)

    return {ALIVE_PATH: alive, READY_PATH: ready}


def public_keys(jwks: Callable[[], bytes]) -> dict[str, Respond]:
    """What access tokens are verified with; no envelope, because verifiers expect this form
    (RFC 7517)."""

    async def keys(exchange: Exchange) -> Answer:
        del exchange
        return Answer(200, jwks(), [_JWKS_CACHED], _JWKS_TYPE)

    return {JWKS_PATH: keys}


def _status(word: str, exchange: Exchange) -> Answer:
    document = orjson.dumps({"status": word}).decode()
    return Answer(200, answers.resource(document, exchange.request_id))


def _not_ready(missing: list[str], exchange: Exchange) -> Answer:
    """Names the services: readiness is asked by those who run the system."""
    exchange.outcome = "UNAVAILABLE"
    document = {
        "success": False,
        "error": f"Not ready: {', '.join(missing)}.",
        "code": "UNAVAILABLE",
        "errors": {},
        "details": {"not_ready": missing},
        "request_id": exchange.request_id,
    }
    return Answer(503, orjson.dumps(document))
