"""The gateway's health: whether it lives, and whether all services behind it answer."""

from __future__ import annotations

import orjson

from gateway.http import answers
from gateway.http.answers import Answer
from gateway.http.exchange import Exchange
from gateway.http.served import Respond
from gateway.upstream.services import Upstream

ALIVE_PATH, READY_PATH = "/healthz", "/readyz"


def health(upstream: Upstream) -> dict[str, Respond]:
    """Whether the process lives, and whether all services behind it answer."""

    async def alive(exchange: Exchange) -> Answer:
        return _status("alive", exchange)

    async def ready(exchange: Exchange) -> Answer:
        missing = await upstream.not_ready()
        return _not_ready(missing, exchange) if missing else _status("ready", exchange)

    return {ALIVE_PATH: alive, READY_PATH: ready}


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
