"""Who makes a request and which site it is about: what the gateway asks of identity.

A verified credential and a resolved scope are remembered for a moment, because a page of
the web app makes many requests; refusals never are. Identity says when an account has
changed, so a revoked key is refused at once in this process and within `TTL_S` in others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chassis import clock
from chassis.memory import Memory
from gateway.admission.lookups import in_time

TTL_S = 3.0
"""How long a revocation may go unnoticed in another process."""
CREDENTIAL_CHARS_MAX = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A user or an API key, verified."""

    principal: str
    """`user:<id>`, `key:<id>` or `anonymous`; goes to the services as it is."""
    role: str
    account_id: str
    allowed_sites: tuple[str, ...] | None = None
    """The only sites that may be touched; None means all of the account."""
    email: str = ""
    expire_time: datetime | None = None
    """When the credential stops working; nothing remembers it longer."""
    session_id: str = ""
    """The login that a user's token belongs to."""
    key_prefix: str = ""
    """What the secret that was shown of an API key begins with."""
    acting_for: str = ""
    """The operator's own account, when acting on another."""


ANONYMOUS = Principal(principal="anonymous", role="", account_id="", allowed_sites=())
"""Whoever calls a public method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The chosen site and sector; empty where none was chosen."""

    site_id: str = ""
    sector_id: str = ""
    sector_name: str = ""


NO_SCOPE = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingRequest:
    """An operator's wish to make one call on another account."""

    account_id: str
    reason: str
    method: str
    """Path of the RPC that is called."""
    request_id: str
    client_address: str


class Acting(Protocol):
    """Lets operators act on other accounts."""

    async def act(self, principal: Principal, asked: ActingRequest) -> Principal:
        """The principal on the other account, once that is written down; never remembered.

        Raises ROLE_FORBIDDEN, NOT_FOUND or ACCOUNT_INACTIVE.
        """

    async def confirm(self, principal: Principal, account_id: str) -> Principal:
        """The same once more in a call that is written down. Raises what `act` does."""


class Authenticator(Protocol):
    """Verifies the `Authorization` header."""

    async def authenticate(self, authorization: str | None) -> Principal:
        """The principal behind a credential.

        Raises UNAUTHENTICATED, TOKEN_EXPIRED, KEY_REVOKED or ACCOUNT_INACTIVE.
        """


class Scopes(Protocol):
    """Checks a choice of site and sector."""

    async def resolve(
        self, principal: Principal, site_id: str, sector_id: str, *, needs_sector: bool
    ) -> Scope:
        """The scope, with what follows from the choice filled in.

        Unknown and another account's are refused in the same words; a site of the account
        that the principal was not granted is SITE_FORBIDDEN.
        """


class CachedAuthenticator:
    """Remembers principals by the hash of their credential."""

    def __init__(self, inner: Authenticator, *, ttl_s: float = TTL_S) -> None:
        self._inner = inner
        self._memory: Memory[bytes, Principal] = Memory(ttl_s)

    async def authenticate(self, authorization: str | None) -> Principal:
        """As the authenticator behind; expiry is checked every time."""
        if authorization is None or len(authorization) > CREDENTIAL_CHARS_MAX:
            return await self._inner.authenticate(None)
        key = hashlib.sha256(authorization.encode()).digest()
        known = self._memory.get(key)
        if known is not None and (known.expire_time is None or known.expire_time > clock.now()):
            return known
        asked = self._memory.forgotten
        principal = await in_time(self._inner.authenticate(authorization))
        self._memory.put(key, principal, principal.account_id, asked)
        return principal

    def forget(self, account_id: str) -> None:
        """Drops every credential of an account: something about it was revoked."""
        self._memory.forget(account_id)


class CachedScopes:
    """Remembers scopes by who chose what."""

    def __init__(self, inner: Scopes, *, ttl_s: float = TTL_S) -> None:
        self._inner = inner
        self._memory: Memory[tuple[object, ...], Scope] = Memory(ttl_s)

    async def resolve(
        self, principal: Principal, site_id: str, sector_id: str, *, needs_sector: bool
    ) -> Scope:
        """As the scopes behind."""
        account_id = principal.account_id
        key = (account_id, principal.allowed_sites, site_id, sector_id, needs_sector)
        known = self._memory.get(key)
        if known is not None:
            return known
        asked = self._memory.forgotten
        scope = await in_time(
            self._inner.resolve(principal, site_id, sector_id, needs_sector=needs_sector)
        )
        self._memory.put(key, scope, account_id, asked)
        return scope

    def forget(self, account_id: str) -> None:
        """Drops every scope of an account: its sites or sectors changed."""
        self._memory.forget(account_id)
