"""Identity's answers to the gateway: who a credential stands for, and which site is meant.

Neither remembers anything: every answer is read from the database, so that a revocation
counts from its commit on. The gateway decides what it caches.
"""

from __future__ import annotations

from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import Unauthenticated
from gateway.admission.principals import CREDENTIAL_CHARS_MAX, Principal, Scope
from gateway.identity.domain import Sector, Site
from gateway.identity.errors import (
    InvalidCredential,
    SiteForbidden,
    UnknownSector,
    UnknownSite,
)
from gateway.identity.key_format import matches, prefix_of
from gateway.identity.last_uses import LastUses
from gateway.identity.standing import end_of_secret, signed_in
from gateway.identity.store.keys import key_by_prefix
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
        user = await self._database.read(
            lambda connection: signed_in(
                connection, claims.account_id, claims.user_id, claims.session_id
            )
        )
        return Principal(
            principal=f"user:{user.id}",
            # The row's role, not the token's: a role that was taken away is gone at once.
            role=user.role.value,
            account_id=user.account_id,
            allowed_sites=user.allowed_sites,
            email=user.email,
            expire_time=claims.expire_time,
            session_id=claims.session_id,
        )

    async def _by_key(self, text: str) -> Principal:
        prefix = prefix_of(text)
        if prefix is None:
            raise InvalidCredential
        found = await self._database.read(lambda connection: key_by_prefix(connection, prefix))
        # The secret first: only who has it learns anything about the key.
        if found is None or not matches(text, found[0].secret_hash):
            raise InvalidCredential
        key, expire_time = found[0], end_of_secret(*found)
        self._uses.note(key)
        return Principal(
            principal=f"key:{key.id}",
            role=key.role.value,
            account_id=key.account_id,
            allowed_sites=key.allowed_sites,
            expire_time=expire_time,
            # Not the key's, where a former secret was shown.
            key_prefix=prefix,
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
