"""Reservations that nobody settled in time, whichever account they belong to."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, literal_column, select, update

from services.billing import schema
from services.billing.domain import Reservation, ReservationState
from services.billing.store.reservations import reservation_from_row

_table = schema.reservations


class Overdue:
    """What the sweeper sees. Without a tenant: no call from outside reaches it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def exist(self, now: datetime) -> bool:
        """Whether there is anything to sweep; a read, so that idle sweeps write nothing."""
        statement = select(_table.c.id).where(*self._overdue(now)).limit(1)
        return self._connection.execute(statement).first() is not None

    def expire(self, now: datetime, limit: int) -> list[Reservation]:
        """Expires the oldest, at most `limit`, in the order of their keys.

        Rows that another replica is at work on are passed over, so each expires once.
        """
        chosen = self._connection.execute(
            select(_table.c.id)
            .where(*self._overdue(now))
            .order_by(_table.c.expire_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).scalars()
        rows = self._connection.execute(
            update(_table)
            .where(_table.c.id.in_(list(chosen)), _table.c.state == ReservationState.OPEN)
            .values(state=ReservationState.EXPIRED, settle_time=now, settle_reason="expired")
            .returning(_table)
        )
        expired = [reservation_from_row(row) for row in rows]
        return sorted(expired, key=lambda each: (each.account_id, each.key))

    def _overdue(self, now: datetime) -> list[ColumnElement[bool]]:
        # A literal, as the partial index has it: with a parameter no planner would use it.
        return [_table.c.state == literal_column("'open'"), _table.c.expire_time <= now]
