"""Opening an account: credits first, then everything else in one transaction.

If the process dies in between, billing knows an account that nobody can reach, and a repeat
with the same request id finds it and goes on: the ids follow from the request id.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection

from chassis import clock
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import RequestIdReused
from chassis.ids import derived_id, new_id
from chassis.replies import Reply
from gateway.identity.domain import (
    DEFAULT_SECTOR_NAME,
    DEFAULT_SITE_NAME,
    PLAN_AT_START,
    Account,
    AccountStatus,
    Deed,
    Registration,
    Role,
    Sector,
    Session,
    Site,
    User,
    normal_email,
)
from gateway.identity.errors import EmailTaken, WrongCredentials
from gateway.identity.passwords import Passwords
from gateway.identity.peers import Billing
from gateway.identity.service.sessions import Sessions
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.audit import AuditStore
from gateway.identity.store.sites import SiteStore

ISSUER = "gateway"
"""The process that identity lives in, in whose name it calls billing."""


class Ids(NamedTuple):
    """The ids of everything that a registration makes."""

    account: str
    user: str
    site: str
    sector: str

    @classmethod
    def of(cls, email: str, request_id: str) -> Ids:
        """The same ids for the same request of one address; new ones when it has no id."""
        if not request_id:
            return cls(*(new_id() for _ in cls._fields))
        return cls(*(derived_id("register", email, request_id, field) for field in cls._fields))


class Registrations:
    """Opens accounts."""

    def __init__(
        self, database: Database, passwords: Passwords, billing: Billing, sessions: Sessions
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._billing = billing
        self._sessions = sessions

    async def register(
        self, asked: Registration, caller: Caller, reply: Reply[User, Any]
    ) -> Session:
        """Makes the account and signs its owner in.

        `reply` remembers that the request was answered, but neither password nor token; a
        repeat is a login, and gets a token of its own. Raises EmailTaken, RequestIdReused, also
        for another password, TooManyAttempts, AccountInactive.
        """
        ids = Ids.of(normal_email(asked.email), reply.request_id)
        made_with = None
        if not await self._database.read(lambda c: _answered(c, asked, reply)):
            made_with = password_hash = await self._passwords.hash(asked.password)
            who = Caller.service(ISSUER, account_id=ids.account, request_id=reply.request_id)
            await self._billing.open_account(who)
            owner = replace(caller, account_id=ids.account, principal=f"user:{ids.user}")
            await self._database.write(
                lambda c: reply.once(c, lambda: _create(c, asked, ids, password_hash, owner))
            )
        member = await self._database.read(lambda c: AccountStore(c).by_id(ids.account, ids.user))
        if member is None:
            raise WrongCredentials
        try:
            return await self._sessions.begin(member, asked.password, made_with, caller)
        except WrongCredentials as error:
            # The password is part of the request, though nothing is remembered of it.
            raise RequestIdReused from error


def _answered(connection: Connection, asked: Registration, reply: Reply[User, Any]) -> bool:
    if reply.stored(connection) is not None:
        return True
    # Looked at before credits are granted; what decides is the unique key.
    if AccountStore(connection).by_email(normal_email(asked.email)) is not None:
        raise EmailTaken
    return False


def _create(
    connection: Connection, asked: Registration, ids: Ids, password_hash: str, who: Caller
) -> User:
    now = clock.now()
    email = normal_email(asked.email)
    owner = User(
        id=ids.user,
        account_id=ids.account,
        email=email,
        name=asked.name.strip(),
        role=Role.OWNER,
        password_hash=password_hash,
        create_time=now,
        update_time=now,
    )
    AccountStore(connection).create(
        Account(
            id=ids.account,
            name=asked.account_name.strip() or email,
            status=AccountStatus.TRIAL,
            create_time=now,
            update_time=now,
        ),
        owner,
    )
    site = Site(
        id=ids.site,
        account_id=ids.account,
        name=asked.site_name.strip() or DEFAULT_SITE_NAME,
        url="",
        default_sector_id=ids.sector,
        create_time=now,
    )
    sector = Sector(
        id=ids.sector,
        account_id=ids.account,
        site_id=ids.site,
        name=asked.sector_name.strip() or DEFAULT_SECTOR_NAME,
        create_time=now,
    )
    SiteStore(connection, who).create(site, sector)
    told = {"email": email, "plan": PLAN_AT_START}
    AuditStore(connection, who).record(
        Deed(action="account.registered", object_id=ids.account, after=told)
    )
    return owner
