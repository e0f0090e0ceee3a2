"""`./writer openapi`: the document of the REST API without a running gateway."""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.bus import Bus
from chassis.caller import Signer
from gateway.__main__ import IDENTITY, PEERS
from gateway.admission.principals import Principal, Scope
from gateway.app import build_app, build_upstream
from gateway.contracts import load_contracts
from gateway.openapi.serving import DOCUMENT_PATH
from gateway.streams.facts import Catalogue
from gateway.streams.hub import Hub, StreamBounds

_NOWHERE = "127.0.0.1:1"
"""No connection is made before the first call, and there is none."""


def print_document() -> None:
    """Writes what a gateway before all services would answer to stdout, indented."""
    document = orjson.loads(asyncio.run(_document()))
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")


async def _document() -> bytes:
    contracts = load_contracts()
    signer = Signer("gateway", Ed25519PrivateKey.generate())
    upstream = build_upstream(contracts, dict.fromkeys((*PEERS, IDENTITY), _NOWHERE), signer)
    hub = Hub(Bus(f"nats://{_NOWHERE}", "openapi"), Catalogue(contracts), StreamBounds())
    app = build_app(contracts, upstream, _Nobody(), _Nobody(), hub=hub)
    status, body = 0, b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": DOCUMENT_PATH,
        "query_string": b"",
        "headers": [(b"host", _NOWHERE.encode())],
    }
    try:
        await app(scope, receive, send)
    finally:
        await upstream.close()
    if status != HTTPStatus.OK:
        raise RuntimeError(f"the gateway does not describe itself: {body.decode()}")
    return body


class _Nobody:
    """Stands where nobody asks."""

    async def authenticate(self, _authorization: str | None) -> Principal:
        raise NotImplementedError

    async def resolve(
        self, _principal: Principal, _site_id: str, _sector_id: str, *, needs_sector: bool
    ) -> Scope:
        raise NotImplementedError
