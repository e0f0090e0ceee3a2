"""Reservations of one account, found by their keys, and what they hold.

A key is unique in the account whatever the site, because credits belong to the account.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from chassis.caller import Caller
from chassis.errors import NotFound
from services.billing import schema
from services.billing.domain import (
    SETTLE_REASON_CHARS,
    Held,
    Operation,
    Reservation,
    ReservationState,
    Share,
    Unit,
)
from services.billing.ledger import Kind, LedgerAccount
from services.billing.store.actors import actor_of
from services.billing.store.grants import burn_order
from services.billing.store.moment import Moment

_table = schema.reservations
_FIELDS = (
    "id",
    "account_id",
    "site_id",
    "sector_id",
    "run_id",
    "api_key_id",
    "request_id",
    "key",
    "variant",
    "quantity",
    "unit_credits",
    "price_version",
    "credits_reserved",
    "credits_charged",
    "expire_time",
    "create_time",
    "settle_time",
)


class ReservationStore:
    """Makes, finds and settles reservations."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller
        self._own = _table.c.account_id == caller.account_id

    def insert(self, reservations: Sequence[Reservation]) -> set[str]:
        """Inserts those whose keys are new and returns these keys.

        On PostgreSQL this waits for a concurrent transaction that holds one of the keys; in
        the order of the keys, so that two batches never wait for each other.
        """
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        statement: Any = dialect.insert(_table).on_conflict_do_nothing(
            index_elements=["account_id", "key"]
        )
        rows = [self._row(reservation) for reservation in sorted(reservations, key=lambda r: r.key)]
        inserted = self._connection.execute(statement.returning(_table.c.key), rows)
        return set(inserted.scalars())

    def by_keys(self, keys: Collection[str]) -> Mapping[str, Reservation]:
        """The reservations that have these keys."""
        rows = self._connection.execute(
            select(_table).where(self._own, _table.c.key.in_(sorted(keys)))
        )
        return {row.key: reservation_from_row(row) for row in rows}

    def get(self, key: str) -> Reservation:
        """One reservation. Raises NotFound."""
        found = self.by_keys([key]).get(key)
        if found is None:
            raise NotFound("reservation", key)
        return found

    def held(self, key: str, moment: Moment) -> Held:
        """One reservation and what it holds or held of which grants. Raises NotFound."""
        found = self._held(_table.c.key == key, moment=moment)
        if not found:
            raise NotFound("reservation", key)
        return found[0]

    def held_by_ids(self, ids: Collection[str], moment: Moment) -> list[Held]:
        """These reservations, in the order of their keys."""
        return self._held(_table.c.id.in_(sorted(ids)), moment=moment)

    def api_key_of_run(self, run_id: str) -> str:
        """The API key behind a run: that of its first reservation."""
        found = self._connection.execute(
            select(_table.c.api_key_id)
            .where(self._own, _table.c.run_id == run_id)
            .order_by(_table.c.create_time, _table.c.id)
            .limit(1)
        ).scalar()
        return found or ""

    def settle(
        self,
        key: str,
        state: ReservationState,
        *,
        now: datetime,
        credits_charged: int = 0,
        reason: str = "",
        unless_overdue: bool = False,
    ) -> Reservation | None:
        """Ends an open reservation, as it then is; None when it is not open, or overdue.

        The state is part of the one statement that writes, so only one of many can end it.
        """
        conditions = [self._own, _table.c.key == key, _table.c.state == ReservationState.OPEN]
        if unless_overdue:
            conditions.append(_table.c.expire_time > now)
        row = self._connection.execute(
            update(_table)
            .where(*conditions)
            .values(
                state=state,
                credits_charged=credits_charged,
                settle_time=now,
                settle_reason=reason[:SETTLE_REASON_CHARS],
            )
            .returning(_table)
        ).one_or_none()
        return None if row is None else reservation_from_row(row)

    def _held(self, condition: ColumnElement[bool], *, moment: Moment) -> list[Held]:
        """In one statement, because every commit begins with it."""
        holds, entries, grants = schema.ledger_transactions, schema.ledger_entries, schema.grants
        statement = (
            select(_table, entries.c.grant_id, entries.c.amount, moment().label("moment"))
            .outerjoin(
                holds,
                and_(holds.c.reservation_id == _table.c.id, holds.c.kind == Kind.RESERVE),
            )
            .outerjoin(
                entries,
                and_(
                    entries.c.transaction_id == holds.c.id,
                    entries.c.ledger_account == LedgerAccount.RESERVED,
                ),
            )
            .outerjoin(grants, grants.c.id == entries.c.grant_id)
            .where(self._own, condition)
            .order_by(_table.c.key, *burn_order())
        )
        found = []
        for _, group in itertools.groupby(self._connection.execute(statement), lambda row: row.id):
            rows = list(group)
            shares = tuple(Share(row.grant_id, row.amount) for row in rows if row.grant_id)
            found.append(Held(reservation_from_row(rows[0]), shares, rows[0].moment))
        return found

    def _row(self, reservation: Reservation) -> dict[str, object]:
        if reservation.account_id != self._caller.account_id:
            raise ValueError("a reservation belongs to another account")
        return {
            **{name: getattr(reservation, name) for name in _FIELDS},
            "state": reservation.state,
            "operation": reservation.operation,
            "unit": reservation.unit,
            "principal": actor_of(self._caller),
            "settle_reason": "",
        }


def reservation_from_row(row: Row[Any]) -> Reservation:
    """A row of the table as the domain knows it."""
    return Reservation(
        **{name: getattr(row, name) for name in _FIELDS},
        state=ReservationState(row.state),
        operation=Operation(row.operation),
        unit=Unit(row.unit),
    )
