"""The keys that access tokens are verified with."""

from __future__ import annotations

from collections.abc import Callable

from gateway.http.answers import Answer
from gateway.http.exchange import Exchange
from gateway.http.served import Respond

JWKS_PATH = "/.well-known/jwks.json"
NO_KEYS = b'{"keys": []}'
_JWKS_CACHED = (b"cache-control", b"public, max-age=300")
"""Half of the time that passes before a new key signs."""
_JWKS_TYPE = b"application/jwk-set+json"


def public_keys(jwks: Callable[[], bytes]) -> dict[str, Respond]:
    """What access tokens are verified with; no envelope, because verifiers expect this form
    (RFC 7517)."""

    async def keys(exchange: Exchange) -> Answer:
        del exchange
        return Answer(200, jwks(), [_JWKS_CACHED], _JWKS_TYPE)

    return {JWKS_PATH: keys}
