"""Who calls, for which tenant: signed by the caller's process, verified by every service.

The token says who, where and for how long. Request id, trace and address travel beside it,
unsigned, because they grant nothing; so a token can be used again until it nears its end.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from chassis import clock
from chassis.errors import Unauthenticated

GATEWAY = "gateway"
"""The only issuer that speaks for users and keys."""
TOKEN_KEY = "writer-caller"  # noqa: S105  the name of a metadata entry
REQUEST_ID_KEY = "x-request-id"
TRACE_KEY = "traceparent"
ADDRESS_KEY = "x-client-address"

TOKEN_LIFE = timedelta(minutes=5)
"""Long enough for one call and clocks that differ, short enough to be useless when found."""
RENEW_BEFORE = timedelta(minutes=2)
"""A cached token with less life than this is minted anew."""
CACHE_MAX = 10_000
"""Tokens remembered at most, on either side."""
_ALGORITHM = "EdDSA"
_INVALID = "The caller token is not valid."

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, and the tenant that the call is for."""

    issuer: str
    """The process that vouches: `gateway` for users and keys, else the service itself."""
    principal: str
    """`user:<id>`, `key:<id>`, `service:<name>` or `anonymous`."""
    account_id: str
    role: str = ""
    """Role of a user or key; empty for services."""
    site_id: str = ""
    """The chosen site; empty when the call is not about one."""
    sector_id: str = ""
    sector_name: str = ""
    allowed_sites: tuple[str, ...] | None = None
    """The only sites the principal may see; None means all of the account."""
    acting_for: str = ""
    """The operator's own account, when acting on another."""
    session_id: str = ""
    """The login that a user's token belongs to; empty for keys and services."""
    key_prefix: str = ""
    """What the secret that was shown of an API key begins with; empty for users and services."""
    request_id: str = ""
    traceparent: str = ""
    client_address: str = ""
    """Network address of the client, where the gateway says it."""

    @classmethod
    def service(
        cls,
        name: str,
        *,
        account_id: str,
        site_id: str = "",
        sector_id: str = "",
        request_id: str = "",
    ) -> Caller:
        """A service acting as itself for a tenant, as consumers do."""
        return cls(
            issuer=name,
            principal=f"service:{name}",
            account_id=account_id,
            site_id=site_id,
            sector_id=sector_id,
            request_id=request_id,
        )


_current: ContextVar[Caller] = ContextVar("caller")


def current() -> Caller:
    """The verified caller of the running call. Only servicers ask; rules are handed it."""
    return _current.get()


def account_of_call() -> str:
    """The account that the running call is for; empty outside of calls."""
    caller = _current.get(None)
    return "" if caller is None else caller.account_id


def set_current(caller: Caller) -> None:
    """Remembers the caller for the running call."""
    _current.set(caller)


class Signer:
    """Vouches for callers in the name of one process."""

    def __init__(self, issuer: str, key: Ed25519PrivateKey) -> None:
        self.issuer = issuer
        self._key = key
        self._minted: OrderedDict[tuple[Caller, str], tuple[str, float]] = OrderedDict()

    def mint(self, caller: Caller, audience: str) -> str:
        """A token for one audience; the same one while it has life left.

        Raises ValueError for a caller that another process vouches for.
        """
        if caller.issuer != self.issuer:
            raise ValueError(f"{self.issuer} cannot vouch for a caller of {caller.issuer}")
        if caller.request_id or caller.traceparent or caller.client_address:
            caller = replace(caller, request_id="", traceparent="", client_address="")
        identity = (caller, audience)
        now_s = clock.now().timestamp()
        known = self._minted.get(identity)
        if known is not None and known[1] - now_s > RENEW_BEFORE.total_seconds():
            return known[0]
        expires_s = now_s + TOKEN_LIFE.total_seconds()
        token = jwt.encode(
            _claims(caller, audience, now_s, expires_s),
            self._key,
            algorithm=_ALGORITHM,
            headers={"kid": self.issuer},
        )
        _remember(self._minted, identity, (token, expires_s), now_s)
        return token


class Verifier:
    """Checks tokens that are meant for one service."""

    def __init__(self, trusted: Mapping[str, Ed25519PublicKey], audience: str) -> None:
        self._trusted = trusted
        self._audience = audience
        self._verified: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    def verify(self, token: str) -> Caller:
        """The caller that the token names. Raises Unauthenticated."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        now_s = clock.now().timestamp()
        if known is not None and known[1] > now_s:
            return known[0]
        claims = self._decode(token)
        caller = _caller(claims)
        expires_s = claims["exp"]
        if not isinstance(expires_s, int):
            raise Unauthenticated(_INVALID)
        if expires_s <= now_s:
            raise Unauthenticated("The caller token has expired.", reason="TOKEN_EXPIRED")
        _remember(self._verified, digest, (caller, expires_s), now_s)
        return caller

    def _decode(self, token: str) -> dict[str, object]:
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
            key = self._trusted[kid]
            claims: dict[str, object] = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=kid,
                # Times are judged by our clock; a token from a clock that is ahead of ours is good.
                options={
                    "require": ["exp", "iat", "aud", "iss", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
        except (jwt.InvalidTokenError, KeyError) as error:
            raise Unauthenticated(_INVALID) from error
        return claims


def _claims(caller: Caller, audience: str, now_s: float, expires_s: float) -> dict[str, object]:
    claims: dict[str, object] = {
        "iss": caller.issuer,
        "aud": audience,
        "sub": caller.principal,
        "iat": int(now_s),
        "exp": int(expires_s),
        "account": caller.account_id,
        "role": caller.role,
        "site": caller.site_id,
        "sector": caller.sector_id,
        "sector_name": caller.sector_name,
        "acting_for": caller.acting_for,
        "session": caller.session_id,
        "key_prefix": caller.key_prefix,
    }
    if caller.allowed_sites is not None:
        claims["sites"] = list(caller.allowed_sites)
    return claims


def _caller(claims: Mapping[str, object]) -> Caller:
    def text(name: str) -> str:
        value = claims.get(name, "")
        if not isinstance(value, str):
            raise Unauthenticated(_INVALID)
        return value

    sites = claims.get("sites")
    if sites is not None and not isinstance(sites, list):
        raise Unauthenticated(_INVALID)
    issuer, principal, role = text("iss"), text("sub"), text("role")
    if issuer != GATEWAY and (role or principal != f"service:{issuer}"):
        # A service speaks for itself only, whatever it has signed.
        raise Unauthenticated(_INVALID)
    return Caller(
        issuer=issuer,
        principal=principal,
        account_id=text("account"),
        role=role,
        site_id=text("site"),
        sector_id=text("sector"),
        sector_name=text("sector_name"),
        allowed_sites=None if sites is None else tuple(str(site) for site in sites),
        acting_for=text("acting_for"),
        session_id=text("session"),
        key_prefix=text("key_prefix"),
    )


def _remember(
    cache: OrderedDict[_K, tuple[_V, float]], key: _K, value: tuple[_V, float], now_s: float
) -> None:
    """Keeps a value until its time, and drops those whose time is over.

    All live about equally long, so the oldest are the first to go.
    """
    cache[key] = value
    cache.move_to_end(key)
    while cache:
        _, until_s = next(iter(cache.values()))
        if until_s > now_s and len(cache) <= CACHE_MAX:
            break
        cache.popitem(last=False)
