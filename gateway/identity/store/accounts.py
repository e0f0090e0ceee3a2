"""Rows of accounts and users, found by what proves who somebody is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from chassis.errors import RequestIdReused
from chassis.statements import insert_if_absent
from gateway.identity.domain import (
    GRANTED_ROLES,
    GRANTED_SITES_MAX,
    Account,
    AccountStatus,
    Member,
    Role,
    User,
)
from gateway.identity.errors import EmailTaken
from gateway.identity.schema import accounts, site_access, users


class AccountStore:
    """Accounts and their users, over one connection.

    Bound to no tenant: who asks is what these reads are there to find out. Whoever already
    knows the account passes it and finds nothing outside of it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, account: Account, owner: User) -> None:
        """Inserts an account and its first user. Raises EmailTaken, RequestIdReused."""
        fresh = insert_if_absent(
            self._connection,
            accounts,
            id=account.id,
            name=account.name,
            status=account.status,
            create_time=account.create_time,
        )
        if not fresh:
            # Its id follows from the request id, whose answer somebody else was given.
            raise RequestIdReused
        fresh = insert_if_absent(
            self._connection,
            users,
            id=owner.id,
            account_id=owner.account_id,
            email=owner.email,
            name=owner.name,
            role=owner.role,
            password_hash=owner.password_hash,
            create_time=owner.create_time,
        )
        if not fresh:
            raise EmailTaken

    def account(self, account_id: str) -> Account | None:
        """The account, if there is one."""
        row = self._connection.execute(
            select(accounts).where(accounts.c.id == account_id)
        ).one_or_none()
        return None if row is None else _account_from_row(row)

    def by_email(self, email: str) -> Member | None:
        """The user with this address, whatever the account; the address in lower case."""
        return self._member(users.c.email == email)

    def by_id(self, account_id: str, user_id: str) -> Member | None:
        """The user of this account."""
        return self._member(users.c.account_id == account_id, users.c.id == user_id)

    def _member(self, *conditions: ColumnElement[bool]) -> Member | None:
        row = self._connection.execute(
            select(
                users,
                accounts.c.name.label("account_name"),
                accounts.c.status.label("account_status"),
                accounts.c.create_time.label("account_create_time"),
            )
            .join(accounts, accounts.c.id == users.c.account_id)
            .where(*conditions)
        ).one_or_none()
        if row is None:
            return None
        user = _user_from_row(row)
        account = Account(
            id=user.account_id,
            name=row.account_name,
            status=AccountStatus(row.account_status),
            create_time=row.account_create_time,
        )
        return Member(user=user, account=account, allowed_sites=self._allowed_sites(user))

    def _allowed_sites(self, user: User) -> tuple[str, ...] | None:
        if user.role not in GRANTED_ROLES:
            return None
        granted = self._connection.execute(
            select(site_access.c.site_id)
            .where(site_access.c.account_id == user.account_id, site_access.c.user_id == user.id)
            .order_by(site_access.c.site_id)
            .limit(GRANTED_SITES_MAX)
        )
        return tuple(granted.scalars())


def _account_from_row(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        status=AccountStatus(row.status),
        create_time=row.create_time,
    )


def _user_from_row(row: Row[Any]) -> User:
    return User(
        id=row.id,
        account_id=row.account_id,
        email=row.email,
        name=row.name,
        role=Role(row.role),
        password_hash=row.password_hash,
        create_time=row.create_time,
        deactivate_time=row.deactivate_time,
    )
