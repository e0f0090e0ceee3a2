"""What is served beside the transcoded routes: its health, the public keys and the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.errors import Refusal
from gateway.http import answers, errors
from gateway.http.exchange import KEY, Exchange
from gateway.http.routes import method_not_allowed
from gateway.openapi import page
from gateway.upstream.services import Upstream

JWKS_PATH = "/.well-known/jwks.json"
JWKS_HEADERS = {"cache-control": "public, max-age=300"}
"""Half of the time that passes before a new key signs."""
NO_KEYS = b'{"keys": []}'


def pages(
    upstream: Upstream,
    describe: Callable[[Iterable[tuple[str, str]]], dict[str, Any]],
    jwks: Callable[[], bytes] = lambda: NO_KEYS,
) -> Starlette:
    """The small application behind the hot path. Its refusals wear the same envelope.

    `describe` makes the OpenAPI document, told the verbs and paths that are served here.
    """

    async def alive(request: Request) -> Response:
        document = orjson.dumps({"status": "alive"}).decode()
        return _json(200, answers.resource(document, _exchange(request).request_id))

    async def ready(request: Request) -> Response:
        missing = await upstream.not_ready()
        if missing:
            return _not_ready(request, missing)
        document = orjson.dumps({"status": "ready"}).decode()
        return _json(200, answers.resource(document, _exchange(request).request_id))

    async def public_keys(_request: Request) -> Response:
        # No envelope: this form is what verifiers of tokens expect (RFC 7517).
        return Response(jwks(), media_type="application/jwk-set+json", headers=JWKS_HEADERS)

    routes = [
        Route("/healthz", alive),
        Route("/readyz", ready),
        Route(JWKS_PATH, public_keys),
    ]
    served = [("GET", route.path) for route in routes]
    app = Starlette(
        routes=[*routes, *page.routes(lambda: describe(served))],
        exception_handlers={HTTPException: _http_error, Refusal: _refusal, Exception: _refusal},
    )
    # The gateway has taken the trailing slash away; a redirect would name the host of the request.
    app.router.redirect_slashes = False
    return app


def _not_ready(request: Request, missing: list[str]) -> Response:
    """Names the services: readiness is asked by those who run the system."""
    document = {
        "success": False,
        "error": f"Not ready: {', '.join(missing)}.",
        "code": "UNAVAILABLE",
        "errors": {},
        "details": {"not_ready": missing},
        "request_id": _exchange(request).request_id,
    }
    return _json(503, orjson.dumps(document))


async def _http_error(request: Request, error: Exception) -> Response:
    # Starlette raises its own errors for unknown paths and verbs only.
    if isinstance(error, HTTPException) and error.status_code == 405:
        return await _refusal(request, method_not_allowed(["GET", "HEAD"]))
    return await _refusal(request, errors.not_found())


async def _refusal(request: Request, error: Exception) -> Response:
    refusal = error if isinstance(error, Refusal) else errors.internal()
    exchange = _exchange(request)
    exchange.outcome = refusal.reason
    answer = errors.refused(refusal, exchange.request_id)
    response = _json(answer.status, answer.body)
    for name, value in answer.headers:
        response.headers.append(name.decode(), value.decode())
    return response


def _exchange(request: Request) -> Exchange:
    exchange: Any = request.scope[KEY]
    assert isinstance(exchange, Exchange)
    return exchange


def _json(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")
