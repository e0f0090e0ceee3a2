"""Rows of API keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.pages import PageQuery, paginate
from chassis.tenancy import visible
from gateway.identity.domain import RETIRED_SECRETS_MAX, Account, AccountStatus, ApiKey, Role
from gateway.identity.schema import accounts, api_keys, retired_secrets

FORGET_BATCH = 1_000
_OF_ACCOUNT = [
    accounts.c[name].label(f"account_{name}")
    for name in ("name", "status", "create_time", "update_time")
]
_SORTABLE = {"created_at": api_keys.c.create_time}


class KeyStore:
    """API keys that one caller may see, over one connection.

    A caller who is limited to some sites sees only keys limited to those.
    """

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def create(self, key: ApiKey) -> None:
        """Inserts a key of the caller's account."""
        self._connection.execute(
            insert(api_keys).values(
                account_id=self._caller.account_id,
                id=key.id,
                name=key.name,
                role=key.role,
                limited_site_id=key.limited_site_id or None,
                prefix=key.prefix,
                secret_hash=key.secret_hash,
                expire_time=key.expire_time,
                create_time=key.create_time,
            )
        )

    def get(self, key_id: str) -> ApiKey:
        """One key. Raises NotFound."""
        row = self._connection.execute(
            select(api_keys).where(*self._visible(), api_keys.c.id == key_id)
        ).one_or_none()
        if row is None:
            raise NotFound("API key", key_id)
        return _key_from_row(row)

    def list_keys(self, query: PageQuery) -> tuple[list[ApiKey], str, int]:
        """One page, the token of the next one, and how many there are."""
        page = paginate(
            self._connection,
            select(api_keys).where(*self._visible()),
            query,
            sortable=_SORTABLE,
            default="-created_at",
            tie=api_keys.c.id,
        )
        return [_key_from_row(row) for row in page.rows], page.next_token, page.total_size

    def revoke(self, key_id: str, when: datetime) -> bool:
        """Ends a key; one that was revoked before keeps its time. Tells whether it went on."""
        revoked = self._connection.execute(
            update(api_keys)
            .where(*self._visible(), api_keys.c.id == key_id, api_keys.c.revoke_time.is_(None))
            .values(revoke_time=when)
        )
        return revoked.rowcount == 1

    def rotate(
        self, key: ApiKey, prefix: str, secret_hash: str, now: datetime, until: datetime
    ) -> None:
        """Gives a key of a locked account its next secret; the ones before work until then at most.

        One whose answer was lost is rotated again, and the secret in use still has its time.
        """
        self._connection.execute(
            update(api_keys)
            .where(*self._visible(), api_keys.c.id == key.id)
            .values(prefix=prefix, secret_hash=secret_hash, rotate_time=now)
        )
        self._connection.execute(
            insert(retired_secrets).values(
                account_id=key.account_id,
                prefix=key.prefix,
                api_key_id=key.id,
                secret_hash=key.secret_hash,
                create_time=now,
                expire_time=until,
            )
        )
        self._shorten(key, until)

    def _shorten(self, key: ApiKey, until: datetime) -> None:
        """No former secret works longer than until then, and few are remembered."""
        mine = [
            retired_secrets.c.account_id == key.account_id,
            retired_secrets.c.api_key_id == key.id,
        ]
        newest = (
            select(retired_secrets.c.prefix)
            .where(*mine)
            .order_by(retired_secrets.c.create_time.desc(), retired_secrets.c.prefix)
            .limit(RETIRED_SECRETS_MAX)
        )
        self._connection.execute(
            delete(retired_secrets).where(*mine, retired_secrets.c.prefix.not_in(newest))
        )
        self._connection.execute(
            update(retired_secrets)
            .where(*mine, retired_secrets.c.expire_time > until)
            .values(expire_time=until)
        )

    def _visible(self) -> list[ColumnElement[bool]]:
        conditions = visible(api_keys, self._caller)
        if self._caller.allowed_sites is not None:
            conditions.append(api_keys.c.limited_site_id.in_(self._caller.allowed_sites))
        return conditions


def key_by_prefix(
    connection: Connection, prefix: str
) -> tuple[ApiKey, Account, datetime | None] | None:
    """The key that has or had this prefix, with its account, whatever the account.

    A key that had it comes with the hash of that secret, and the time when that ends.
    """
    with_account = api_keys.join(accounts, accounts.c.id == api_keys.c.account_id)
    row = connection.execute(
        select(api_keys, *_OF_ACCOUNT).select_from(with_account).where(api_keys.c.prefix == prefix)
    ).one_or_none()
    if row is not None:
        return _key_from_row(row), _account_of_key(row), None
    row = connection.execute(
        select(
            api_keys,
            *_OF_ACCOUNT,
            retired_secrets.c.secret_hash.label("retired_hash"),
            retired_secrets.c.expire_time.label("retired_expire_time"),
        )
        .select_from(
            with_account.join(
                retired_secrets,
                and_(
                    retired_secrets.c.account_id == api_keys.c.account_id,
                    retired_secrets.c.api_key_id == api_keys.c.id,
                ),
            )
        )
        .where(retired_secrets.c.prefix == prefix)
    ).one_or_none()
    if row is None:
        return None
    key = replace(_key_from_row(row), secret_hash=row.retired_hash)
    return key, _account_of_key(row), row.retired_expire_time


def forget_secrets(connection: Connection, before: datetime) -> int:
    """Deletes retired secrets that ended before this time; says how many."""
    old = (
        select(retired_secrets.c.prefix)
        .where(retired_secrets.c.expire_time < before)
        .limit(FORGET_BATCH)
    )
    return connection.execute(
        delete(retired_secrets).where(retired_secrets.c.prefix.in_(old))
    ).rowcount


def note_uses(connection: Connection, uses: Mapping[tuple[str, str], datetime]) -> None:
    """Moves the last use of keys, by (account, id), forward to the given times."""
    statement = update(api_keys).where(
        api_keys.c.account_id == bindparam("of_account"),
        api_keys.c.id == bindparam("of_key"),
        or_(api_keys.c.last_use_time.is_(None), api_keys.c.last_use_time < bindparam("used")),
    )
    connection.execute(
        statement.values(last_use_time=bindparam("used")),
        [
            {"of_account": account_id, "of_key": key_id, "used": used}
            for (account_id, key_id), used in sorted(uses.items())
        ],
    )


def _account_of_key(row: Row[Any]) -> Account:
    return Account(
        id=row.account_id,
        name=row.account_name,
        status=AccountStatus(row.account_status),
        create_time=row.account_create_time,
        update_time=row.account_update_time,
    )


def _key_from_row(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        role=Role(row.role),
        limited_site_id=row.limited_site_id or "",
        prefix=row.prefix,
        secret_hash=row.secret_hash,
        expire_time=row.expire_time,
        revoke_time=row.revoke_time,
        last_use_time=row.last_use_time,
        rotate_time=row.rotate_time,
        create_time=row.create_time,
    )
