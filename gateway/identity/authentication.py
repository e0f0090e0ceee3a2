"""Identity's answers to the gateway: who a credential stands for, and which site is meant.

Neither remembers anything: every answer is read from the database, so that a revocation
counts from its commit on. The gateway decides what it caches.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from chassis import clock
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import Unauthenticated
from gateway.admission.principals import CREDENTIAL_CHARS_MAX, Principal, Scope
from gateway.identity.domain import ApiKey, Sector, Site
from gateway.identity.errors import (
    AccountInactive,
    InvalidCredential,
    KeyRevoked,
    SiteForbidden,
    UnknownSector,
    UnknownSite,
)
from gateway.identity.key_format import matches, prefix_of
from gateway.identity.last_uses import LastUses
from gateway.identity.store.keys import key_by_prefix
from gateway.identity.store.sessions import SessionStore
from gateway.identity.store.sites import SiteStore
from gateway.identity.tokens import AccessTokens


class IdentityAuthenticator:
    """Verifies access tokens and API keys."""

    def __init__(self, database: Database, tokens: AccessTokens, uses: LastUses) -> None:
        self._database = database
        self._tokens = tokens
        self._uses = uses

    async def authenticate(self, authorization: str | None) -> Principal:
        """Behind `Bearer <token>` or `ApiKey <key>`; see gateway.admission.principals."""
        if not authorization:
            raise Unauthenticated
        if len(authorization) > CREDENTIAL_CHARS_MAX:
            raise InvalidCredential
        scheme, _, credential = authorization.strip().partition(" ")
        match scheme.lower():
            case "bearer":
                return await self._by_token(credential.strip())
            case "apikey":
                return await self._by_key(credential.strip())
        raise InvalidCredential

    async def _by_token(self, token: str) -> Principal:
        claims = self._tokens.verify(token)
        found = await self._database.read(
            lambda connection: SessionStore(connection).member(
                claims.account_id, claims.user_id, claims.session_id
            )
        )
        if found is None:
            raise InvalidCredential
        member, goes_on = found
        if not goes_on or member.user.deactivate_time is not None:
            raise InvalidCredential
        if not member.account.usable:
            raise AccountInactive
        return Principal(
            principal=f"user:{member.user.id}",
            # The row's role, not the token's: a role that was taken away is gone at once.
            role=member.user.role.value,
            account_id=member.account.id,
            allowed_sites=member.user.allowed_sites,
            email=member.user.email,
            expire_time=claims.expire_time,
            session_id=claims.session_id,
        )

    async def _by_key(self, text: str) -> Principal:
        prefix = prefix_of(text)
        if prefix is None:
            raise InvalidCredential
        found = await self._database.read(lambda connection: key_by_prefix(connection, prefix))
        if found is None:
            raise InvalidCredential
        key, account, secret_end_time = found
        # The secret first: only who has it learns anything about the key.
        if not matches(text, key.secret_hash):
            raise InvalidCredential
        now = clock.now()
        if not key.works(now) or (secret_end_time is not None and now >= secret_end_time):
            raise KeyRevoked
        if not account.usable:
            raise AccountInactive
        self._uses.note(key)
        return _principal_of(key, secret_end_time)


def _principal_of(key: ApiKey, secret_end_time: datetime | None) -> Principal:
    ends = [time for time in (key.expire_time, secret_end_time) if time is not None]
    return Principal(
        principal=f"key:{key.id}",
        role=key.role.value,
        account_id=key.account_id,
        allowed_sites=key.allowed_sites,
        expire_time=min(ends, default=None),
    )


class IdentityScopes:
    """Checks a choice of site and sector against the account and the principal's sites."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def resolve(
        self,
        principal: Principal,
        site_id: str,
        sector_id: str,
        *,
        needs_sector: bool,  # noqa: ARG002  the gateway has refused what lacks it
    ) -> Scope:
        """The chosen scope; see gateway.admission.principals."""
        # The whole account, to tell a site that was not granted from one that is not there.
        who = Caller.service("gateway", account_id=principal.account_id)

        def work(connection: Connection) -> tuple[Site | None, Sector | None]:
            store = SiteStore(connection, who)
            sector = store.find_sector(sector_id) if sector_id else None
            chosen = site_id or (sector.site_id if sector else "")
            return store.find(chosen), sector

        site, sector = await self._database.read(work)
        if site_id and site is None:
            raise UnknownSite("site_id")
        if sector_id and (sector is None or site is None):
            raise UnknownSector("sector_id")
        if site is None:
            return Scope()
        if principal.allowed_sites is not None and site.id not in principal.allowed_sites:
            raise SiteForbidden
        if sector is None:
            return Scope(site_id=site.id)
        if sector.site_id != site.id:
            raise UnknownSector("sector_id")
        return Scope(site_id=site.id, sector_id=sector.id, sector_name=sector.name)
