"""Grants of one account: where its credits came from, and what is left of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    UnaryExpression,
    bindparam,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from chassis.caller import Caller
from chassis.columns import UtcDateTime
from chassis.errors import NotFound
from chassis.pages import COUNTED_MAX, Page, PageQuery, paginate
from chassis.statements import among, values_for
from chassis.tenancy import visible
from services.billing import schema
from services.billing.domain import Grant, TransactionType
from services.billing.store.rows import values_of

_table = schema.grants
BURNED_MAX = 1_000
"""Grants that one call looks at for credits; more than that would have to be adjusted together."""
_FIELDS = tuple(column.name for column in _table.columns if column.name != "transaction_type")
_columns = values_of((*_FIELDS, "transaction_type"))
# A literal, as the partial indexes have it: with a parameter no planner would use them.
LEFT = _table.c.available > literal_column("0")


class GrantStore:
    """Finds grants, and ends them: whoever does so holds the balance's lock."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller
        self._own = visible(_table, caller)

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

    def overdue(self, now: datetime, limit: int) -> list[Grant]:
        """Grants that have run out of time and still have credits."""
        rows = self._connection.execute(
            select(_table)
            .where(*self._own, LEFT, _table.c.expire_time <= now)
            # A plan's first: its next period must not begin beside what is left of this one.
            .order_by(
                _table.c.transaction_type != TransactionType.SUBSCRIPTION,
                _table.c.expire_time,
                _table.c.id,
            )
            .limit(limit)
        )
        return [grant_from_row(row) for row in rows]

    def revoke(self, grant_id: str, now: datetime, reason: str, principal: str) -> None:
        """Ends a grant for ever; what is left of it is for the ledger to take."""
        self._connection.execute(
            update(_table)
            .where(*self._own, _table.c.id == grant_id)
            .values(revoke_time=now, revoke_reason=reason, revoke_principal=principal)
        )

    def rebuild(self) -> None:
        """Derives what is available of each grant anew from the entries."""
        for wrong in drifting(self._connection, [self._caller.account_id]):
            self._connection.execute(
                update(_table)
                .where(*self._own, _table.c.id == wrong.id)
                .values(available=wrong.derived)
            )

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


def grants_from_rows(prefix: str = "") -> Callable[[Row[Any]], Grant]:
    """A function from a row, whose columns may have a prefix in it, to the grant."""
    read = attrgetter(*(prefix + name for name in _FIELDS), f"{prefix}transaction_type")

    def grant_from(row: Row[Any]) -> Grant:
        *values, transaction_type = read(row)
        fields = dict(zip(_FIELDS, values, strict=True))
        return Grant(**fields, transaction_type=TransactionType(transaction_type))

    return grant_from


grant_from_row = grants_from_rows()
_USABLE = (
    select(_table, schema.subscriptions.c.period_end_time)
    .outerjoin(schema.subscriptions, schema.subscriptions.c.account_id == _table.c.account_id)
    .where(
        among(_table.c.account_id, "accounts"),
        LEFT,
        _table.c.revoke_time.is_(None),
        or_(
            _table.c.expire_time.is_(None),
            _table.c.expire_time > bindparam("now", type_=UtcDateTime()),
        ),
    )
    .order_by(_table.c.account_id, *burn_order())
    .limit(BURNED_MAX)
)
_INSERT = insert(_table)


class Usable(NamedTuple):
    """Grants with credits that can be reserved, and when the plan's period ends."""

    grants: list[Grant]
    period_end_time: datetime | None = None


def usable(
    connection: Connection, account_ids: Collection[str], now: datetime
) -> dict[str, Usable]:
    """Grants with credits that can be reserved, in burn order, BURNED_MAX of an account at most.

    Of many accounts only those are answered whose grants are known to be all there.
    """
    found: dict[str, Usable] = {}
    parameters = {"accounts": values_for(connection, sorted(account_ids)), "now": now}
    rows = connection.execute(_USABLE, parameters).all()
    for row in rows:
        if row.account_id not in found:
            found[row.account_id] = Usable([], row.period_end_time)
        found[row.account_id].grants.append(grant_from_row(row))
    if len(rows) < BURNED_MAX:
        return {account_id: found.get(account_id, Usable([])) for account_id in account_ids}
    if len(account_ids) > 1:
        found.popitem()
    return found


def insert_all(connection: Connection, grants: Sequence[Grant]) -> None:
    """Adds grants. Their keys are unique in the account, so nothing is granted twice."""
    if grants:
        connection.execute(_INSERT, [_columns(each) for each in grants])


class Drifting(NamedTuple):
    """A grant of which the entries leave another amount than it says."""

    account_id: str
    id: str
    derived: int
    available: int


def drifting(
    connection: Connection, account_ids: Collection[str], limit: int | None = None
) -> list[Drifting]:
    """Grants of which more or less is left than the entries say: all entries are read once."""
    entries = schema.ledger_entries
    left = (
        select(entries.c.grant_id, func.sum(entries.c.amount).label("available"))
        .where(
            entries.c.account_id.in_(account_ids),
            entries.c.ledger_account == literal_column("'available'"),
        )
        .group_by(entries.c.grant_id)
        .subquery()
    )
    derived = func.coalesce(left.c.available, 0)
    statement = (
        select(_table.c.account_id, _table.c.id, derived, _table.c.available)
        .outerjoin(left, left.c.grant_id == _table.c.id)
        .where(_table.c.account_id.in_(account_ids), _table.c.available != derived)
        .order_by(_table.c.account_id, _table.c.id)
        .limit(limit)
    )
    return [
        Drifting(account_id, grant_id, int(expected), found)
        for account_id, grant_id, expected, found in connection.execute(statement)
    ]
