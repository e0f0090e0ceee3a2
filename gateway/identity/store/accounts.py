"""Rows of accounts and users, found by what proves who somebody is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from chassis.errors import NotFound, RequestIdReused
from chassis.statements import insert_if_absent
from gateway.identity.domain import ORIGINS_MAX, Account, AccountStatus, Member, User
from gateway.identity.errors import EmailTaken
from gateway.identity.schema import account_origins, accounts, users
from gateway.identity.store.users import granted_sites, user_from_row

_OF_ACCOUNT = [
    column.label(f"account_{column.name}") for column in accounts.c if column.name != "id"
]


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
            revision=account.revision,
            create_time=account.create_time,
            update_time=account.update_time,
        )
        if not fresh:
            # Its id follows from the request id, whose answer somebody else was given.
            raise RequestIdReused
        self.add_user(owner)

    def add_user(self, user: User) -> None:
        """Inserts a user. Raises EmailTaken."""
        fresh = insert_if_absent(
            self._connection,
            users,
            id=user.id,
            account_id=user.account_id,
            email=user.email,
            name=user.name,
            role=user.role,
            password_hash=user.password_hash,
            revision=user.revision,
            create_time=user.create_time,
            update_time=user.update_time,
        )
        if not fresh:
            raise EmailTaken

    def account(self, account_id: str) -> Account | None:
        """The account with its origins, if there is one."""
        row = self._connection.execute(
            select(accounts).where(accounts.c.id == account_id)
        ).one_or_none()
        return None if row is None else self._with_origins(_account_from_row(row))

    def locked(self, account_id: str) -> Account:
        """The account; until the transaction ends, nobody else changes what is done under its lock.

        That is its own row, its people, its keys and who is invited. Who signs in, goes on or
        out does not wait for it: their rows only refer to the account. Raises NotFound.
        """
        lock = select(accounts.c.id).where(accounts.c.id == account_id)
        self._connection.execute(lock.with_for_update(key_share=True))
        account = self.account(account_id)
        if account is None:
            raise NotFound("account", account_id)
        return account

    def save(self, account: Account, now: datetime) -> Account:
        """Stores name, status and origins of an account that is locked, as its next revision."""
        saved = replace(account, revision=account.revision + 1, update_time=now)
        self._connection.execute(
            update(accounts)
            .where(accounts.c.id == account.id)
            .values(
                name=saved.name,
                status=saved.status,
                status_before=saved.status_before,
                revision=saved.revision,
                update_time=now,
            )
        )
        return saved

    def set_origins(self, account_id: str, origins: Sequence[str], now: datetime) -> None:
        """Replaces the allowed origins."""
        self._connection.execute(
            delete(account_origins).where(account_origins.c.account_id == account_id)
        )
        rows = [
            {"account_id": account_id, "origin": origin, "create_time": now} for origin in origins
        ]
        if rows:
            self._connection.execute(insert(account_origins), rows)

    def by_email(self, email: str) -> Member | None:
        """The user with this address, whatever the account; the address in lower case."""
        return self._member(users.c.email == email)

    def by_id(self, account_id: str, user_id: str) -> Member | None:
        """The user of this account."""
        return self._member(users.c.account_id == account_id, users.c.id == user_id)

    def is_unchanged(self, user: User) -> bool:
        """Whether password and standing are still these; both stay so until the transaction ends.

        Without the lock a session could begin beside the change that ends all sessions.
        """
        row = self._connection.execute(
            select(users.c.password_hash, users.c.deactivate_time)
            .where(users.c.account_id == user.account_id, users.c.id == user.id)
            .with_for_update(read=True)
        ).one_or_none()
        return row is not None and (row.password_hash, row.deactivate_time) == (
            user.password_hash,
            user.deactivate_time,
        )

    def _member(self, *conditions: ColumnElement[bool]) -> Member | None:
        member = find_member(self._connection, *conditions)
        if member is None:
            return None
        return replace(member, account=self._with_origins(member.account))

    def _with_origins(self, account: Account) -> Account:
        origins = self._connection.scalars(
            select(account_origins.c.origin)
            .where(account_origins.c.account_id == account.id)
            .order_by(account_origins.c.origin)
            .limit(ORIGINS_MAX)
        )
        return replace(account, allowed_origins=tuple(origins))


def find_member(
    connection: Connection, *conditions: ColumnElement[bool], also: Any = None
) -> Member | None:
    """One user with the account, without its origins; `also` is a table to join."""
    source = users.join(accounts, accounts.c.id == users.c.account_id)
    row = connection.execute(
        select(users, *_OF_ACCOUNT)
        .select_from(source if also is None else source.join(also))
        .where(*conditions)
    ).one_or_none()
    if row is None:
        return None
    sites = granted_sites(connection, row.account_id, [row.id])
    user = user_from_row(row, sites.get(row.id, ()))
    return Member(user=user, account=_account_of_member(row))


def allows_origin(connection: Connection, origin: str, account_id: str = "") -> bool:
    """Whether this account, or any that is asked for, lets pages of the origin read its answers."""
    statement = select(account_origins.c.origin).where(account_origins.c.origin == origin)
    if account_id:
        statement = statement.where(account_origins.c.account_id == account_id)
    return connection.execute(statement.limit(1)).first() is not None


def _account_of_member(row: Row[Any]) -> Account:
    return Account(
        id=row.account_id,
        name=row.account_name,
        status=AccountStatus(row.account_status),
        status_before=_status(row.account_status_before),
        revision=row.account_revision,
        create_time=row.account_create_time,
        update_time=row.account_update_time,
    )


def _account_from_row(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        status=AccountStatus(row.status),
        status_before=_status(row.status_before),
        revision=row.revision,
        create_time=row.create_time,
        update_time=row.update_time,
    )


def _status(text: str | None) -> AccountStatus | None:
    return AccountStatus(text) if text else None
