"""Signing in, and telling callers who they are."""

from __future__ import annotations

from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import Unauthenticated
from gateway.identity.domain import Me, Member, Session, Site, normal_email
from gateway.identity.errors import AccountInactive, WrongCredentials
from gateway.identity.passwords import Passwords
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.keys import KeyStore
from gateway.identity.store.sites import SiteStore
from gateway.identity.tokens import LIFE, AccessTokens


class Sessions:
    """Exchanges passwords for access tokens."""

    def __init__(self, database: Database, passwords: Passwords, tokens: AccessTokens) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens = tokens

    async def login(self, email: str, password: str) -> Session:
        """A new session. Raises WrongCredentials, AccountInactive.

        Whether the address is known shows neither in the answer nor in its time.
        """
        member = await self._database.read(
            lambda connection: AccountStore(connection).by_email(normal_email(email))
        )
        known_hash = member.user.password_hash if member else None
        if not await self._passwords.matches(password, known_hash) or member is None:
            raise WrongCredentials
        return await self.start(member)

    async def start(self, member: Member) -> Session:
        """A session for somebody who has just proved who they are."""
        if member.user.deactivate_time is not None:
            raise WrongCredentials
        if not member.account.usable:
            raise AccountInactive
        who = _caller_of(member)

        def first_site(connection: Connection) -> Site | None:
            return SiteStore(connection, who).first()

        return Session(
            access_token=self._tokens.mint(member.user),
            expires_in_s=int(LIFE.total_seconds()),
            user=member.user,
            account=member.account,
            site=await self._database.read(first_site),
        )

    async def get_me(self, caller: Caller) -> Me:
        """Who the caller is. Raises Unauthenticated for one who is neither user nor key."""
        kind, _, principal_id = caller.principal.partition(":")

        def work(connection: Connection) -> Me | None:
            if kind == "user":
                member = AccountStore(connection).by_id(caller.account_id, principal_id)
                if member is None:
                    return None
                return Me(account=member.account, role=caller.role, user=member.user)
            account = AccountStore(connection).account(caller.account_id)
            if kind != "key" or account is None:
                return None
            key = KeyStore(connection, caller).get(principal_id)
            return Me(account=account, role=caller.role, api_key=key)

        me = await self._database.read(work)
        if me is None:
            raise Unauthenticated
        return me


def _caller_of(member: Member) -> Caller:
    """The user, as the stores know callers."""
    return Caller(
        issuer="",
        principal=f"user:{member.user.id}",
        account_id=member.account.id,
        role=member.user.role,
        allowed_sites=member.allowed_sites,
    )
