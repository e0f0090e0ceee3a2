"""`./writer openapi`: the document of the REST API without a running gateway."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.caller import Signer
from gateway.__main__ import IDENTITY, PEERS
from gateway.app import build_gateway, build_upstream
from gateway.authentication import Principal, Scope
from gateway.contracts import load_contracts

_NOWHERE = "127.0.0.1:1"
"""No connection is made before the first call, and there is none."""


def print_document() -> None:
    """Writes the document of a gateway before all services to stdout."""
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(_document()), option=orjson.OPT_INDENT_2))
    sys.stdout.buffer.write(b"\n")


async def _document() -> dict[str, Any]:
    contracts = load_contracts()
    signer = Signer("gateway", Ed25519PrivateKey.generate())
    upstream = build_upstream(contracts, dict.fromkeys((*PEERS, IDENTITY), _NOWHERE), signer)
    try:
        return build_gateway(contracts, upstream, _Nobody(), _Nobody()).document()
    finally:
        await upstream.close()


class _Nobody:
    """Stands where nobody asks."""

    async def authenticate(self, _authorization: str | None) -> Principal:
        raise NotImplementedError

    async def resolve(
        self, _principal: Principal, _site_id: str, _sector_id: str, *, needs_sector: bool
    ) -> Scope:
        raise NotImplementedError
