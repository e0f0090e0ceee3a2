"""What has run out of time, whichever account it belongs to."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, literal_column, or_, select

from services.billing import schema
from services.billing.store.grants import LEFT
from services.billing.store.moment import Moment

_reservations = schema.reservations
_grants = schema.grants
_subscriptions = schema.subscriptions


class Late(NamedTuple):
    """Something overdue; the oldest come first, and those of one time by their ids."""

    time: datetime
    id: str
    account_id: str


class Overdue:
    """What the sweepers see. Without a tenant: no call from outside reaches it.

    All are reads, so that idle sweeps write nothing, and go on after what was seen last: what
    nobody can end must not hide what comes behind it.
    """

    def __init__(self, connection: Connection, moment: Moment) -> None:
        self._connection = connection
        self._moment = moment

    def reservations(self, after: Late | None, limit: int) -> list[Late]:
        """Open reservations past their time."""
        columns = _reservations.c
        # A literal, as the partial index has it: with a parameter no planner would use it.
        is_open = columns.state == literal_column("'open'")
        return self._page(
            (columns.expire_time, columns.id, columns.account_id), after, limit, is_open
        )

    def grants(self, after: Late | None, limit: int) -> list[Late]:
        """Grants past their time of which credits are left."""
        columns = _grants.c
        return self._page((columns.expire_time, columns.id, columns.account_id), after, limit, LEFT)

    def periods(self, after: Late | None, limit: int) -> list[Late]:
        """Accounts whose period has ended."""
        columns = _subscriptions.c
        account = columns.account_id
        return self._page((columns.period_end_time, account, account), after, limit)

    def _page(
        self,
        of: tuple[Column[datetime], Column[str], Column[str]],
        after: Late | None,
        limit: int,
        *conditions: ColumnElement[bool],
    ) -> list[Late]:
        time, tie, _ = of
        found: list[Any] = [*conditions, time <= self._moment()]
        if after is not None:
            # The first is for the index, which has no ids.
            found += [time >= after.time, or_(time > after.time, tie > after.id)]
        statement = select(*of).where(*found).order_by(time, tie).limit(limit)
        return [Late(*row) for row in self._connection.execute(statement)]
