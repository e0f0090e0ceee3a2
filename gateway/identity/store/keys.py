"""Rows of API keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, insert, or_, select, update

from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.pages import PageQuery, paginate
from chassis.tenancy import visible
from gateway.identity.domain import Account, AccountStatus, ApiKey, Role
from gateway.identity.schema import accounts, api_keys

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

    def revoke(self, key_id: str, when: datetime) -> None:
        """Ends a key; one that was revoked before keeps its time."""
        self._connection.execute(
            update(api_keys)
            .where(*self._visible(), api_keys.c.id == key_id, api_keys.c.revoke_time.is_(None))
            .values(revoke_time=when)
        )

    def _visible(self) -> list[ColumnElement[bool]]:
        conditions = visible(api_keys, self._caller)
        if self._caller.allowed_sites is not None:
            conditions.append(api_keys.c.limited_site_id.in_(self._caller.allowed_sites))
        return conditions


def key_by_prefix(connection: Connection, prefix: str) -> tuple[ApiKey, Account] | None:
    """The key with this prefix and its account, whatever the account: nobody is known yet."""
    row = connection.execute(
        select(
            api_keys,
            accounts.c.name.label("account_name"),
            accounts.c.status,
            accounts.c.create_time.label("account_create_time"),
        )
        .join(accounts, accounts.c.id == api_keys.c.account_id)
        .where(api_keys.c.prefix == prefix)
    ).one_or_none()
    if row is None:
        return None
    account = Account(
        id=row.account_id,
        name=row.account_name,
        status=AccountStatus(row.status),
        create_time=row.account_create_time,
    )
    return _key_from_row(row), account


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
        create_time=row.create_time,
    )
