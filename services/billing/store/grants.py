"""Grants of one account: where its credits came from, and what is left of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    UnaryExpression,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.pages import COUNTED_MAX, Page, PageQuery, paginate
from chassis.tenancy import visible
from services.billing import schema
from services.billing.domain import Grant, Share, TransactionType

_table = schema.grants
BURNED_MAX = 1_000
"""Grants that one call looks at for credits; more than that would have to be adjusted together."""
_FIELDS = tuple(column.name for column in _table.columns if column.name != "transaction_type")
# A literal, as the partial indexes have it: with a parameter no planner would use them.
LEFT = _table.c.available > literal_column("0")


class GrantStore:
    """Notes, burns and ends grants. Whoever calls what changes them holds the balance's lock."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller
        self._own = visible(_table, caller)

    def add(self, grant: Grant) -> None:
        """Notes a grant. Its key is unique in the account, so nothing is granted twice."""
        if grant.account_id != self._caller.account_id:
            raise ValueError("a grant belongs to another account")
        values = {name: getattr(grant, name) for name in _FIELDS}
        self._connection.execute(
            insert(_table).values(**values, transaction_type=grant.transaction_type)
        )

    def get(self, grant_id: str) -> Grant:
        """One grant. Raises NotFound."""
        row = self._connection.execute(
            select(_table).where(*self._own, _table.c.id == grant_id)
        ).one_or_none()
        if row is None:
            raise NotFound("grant", grant_id)
        return grant_from_row(row)

    def by_ids(self, grant_ids: Sequence[str]) -> dict[str, Grant]:
        """The grants with these ids, in burn order."""
        rows = self._connection.execute(
            select(_table).where(*self._own, _table.c.id.in_(grant_ids)).order_by(*burn_order())
        )
        return {row.id: grant_from_row(row) for row in rows}

    def by_transaction(self, transaction_id: str) -> Grant | None:
        """The grant that a transaction brought, if any."""
        row = self._connection.execute(
            select(_table).where(*self._own, _table.c.transaction_id == transaction_id)
        ).one_or_none()
        return None if row is None else grant_from_row(row)

    def choose(self, wanted: int, now: datetime) -> list[Share] | None:
        """Where so many credits come from, in burn order; None when usable grants have less."""
        shares: list[Share] = []
        rows = self._connection.execute(
            select(_table.c.id, _table.c.available)
            .where(*self._own, *_usable(now))
            .order_by(*burn_order())
            .limit(BURNED_MAX)
        )
        for grant_id, available in rows:
            if not wanted:
                break
            taken = min(wanted, available)
            shares.append(Share(grant_id, taken))
            wanted -= taken
        return None if wanted else shares

    def usable(self, now: datetime) -> int:
        """Credits that could be reserved now: without grants that have ended, swept or not."""
        total = self._connection.execute(
            select(func.coalesce(func.sum(_table.c.available), 0)).where(*self._own, *_usable(now))
        ).scalar_one()
        return int(total)

    def overdue(self, now: datetime, limit: int) -> list[Grant]:
        """Grants that have run out of time and still have credits."""
        rows = self._connection.execute(
            select(_table)
            .where(*self._own, LEFT, _table.c.expire_time <= now)
            .order_by(_table.c.expire_time, _table.c.id)
            .limit(limit)
        )
        return [grant_from_row(row) for row in rows]

    def move(self, changes: Mapping[str, int]) -> list[Grant]:
        """Adds changes to what is available of grants, and returns these as they then are."""
        moved = []
        for grant_id, amount in changes.items():
            row = self._connection.execute(
                update(_table)
                .where(*self._own, _table.c.id == grant_id)
                .values(available=_table.c.available + amount)
                .returning(_table)
            ).one()
            moved.append(grant_from_row(row))
        return moved

    def revoke(self, grant_id: str, now: datetime) -> None:
        """Ends a grant for ever; what is left of it is for the ledger to take."""
        self._connection.execute(
            update(_table).where(*self._own, _table.c.id == grant_id).values(revoke_time=now)
        )

    def rebuild(self) -> None:
        """Derives what is available of each grant anew from the entries."""
        entries = schema.ledger_entries
        derived = (
            select(func.coalesce(func.sum(entries.c.amount), 0))
            .where(
                entries.c.account_id == _table.c.account_id,
                entries.c.grant_id == _table.c.id,
                entries.c.ledger_account == literal_column("'available'"),
            )
            .scalar_subquery()
        )
        self._connection.execute(update(_table).where(*self._own).values(available=derived))

    def page(self, query: PageQuery, *, only_available: bool) -> Page:
        """The account's grants, newest first by default."""
        statement = select(_table).where(*self._own)
        if only_available:
            statement = statement.where(LEFT)
        return paginate(
            self._connection,
            statement,
            query,
            sortable={"created_at": _table.c.create_time},
            default="-created_at",
            tie=_table.c.id,
            count_max=COUNTED_MAX,
        )


def burn_order() -> list[ColumnElement[Any] | UnaryExpression[Any]]:
    """Priority, soonest expiry, oldest."""
    columns = _table.c
    never = columns.expire_time.is_(None)
    return [columns.priority, never, columns.expire_time, columns.create_time, columns.id]


def grant_from_row(row: Row[Any]) -> Grant:
    """A row of the table as the domain knows it."""
    return Grant(
        **{name: getattr(row, name) for name in _FIELDS},
        transaction_type=TransactionType(row.transaction_type),
    )


def _usable(now: datetime) -> list[ColumnElement[bool]]:
    expire_time = _table.c.expire_time
    return [
        LEFT,
        _table.c.revoke_time.is_(None),
        or_(expire_time.is_(None), expire_time > now),
    ]
