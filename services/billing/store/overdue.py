"""What has run out of time, whichever account it belongs to."""

from __future__ import annotations

from sqlalchemy import Connection, literal_column, select

from services.billing import schema
from services.billing.store.grants import LEFT
from services.billing.store.moment import Moment

_reservations = schema.reservations
_grants = schema.grants
_subscriptions = schema.subscriptions


class Overdue:
    """What the sweepers see. Without a tenant: no call from outside reaches it."""

    def __init__(self, connection: Connection, moment: Moment) -> None:
        self._connection = connection
        self._moment = moment

    def reservations(self, limit: int) -> list[tuple[str, str]]:
        """Account and id of the oldest; a read, so that idle sweeps write nothing."""
        rows = self._connection.execute(
            select(_reservations.c.account_id, _reservations.c.id)
            .where(
                # A literal, as the partial index has it: with a parameter no planner would use it.
                _reservations.c.state == literal_column("'open'"),
                _reservations.c.expire_time <= self._moment(),
            )
            .order_by(_reservations.c.expire_time)
            .limit(limit)
        )
        return sorted((account_id, id_) for account_id, id_ in rows)

    def accounts_with_grants(self, limit: int) -> list[str]:
        """Accounts that have credits of grants past their time."""
        statement = (
            select(_grants.c.account_id)
            .where(LEFT, _grants.c.expire_time <= self._moment())
            .order_by(_grants.c.expire_time)
            .limit(limit)
        )
        return sorted(set(self._connection.scalars(statement)))

    def accounts_with_periods(self, limit: int) -> list[str]:
        """Accounts whose period has ended."""
        statement = (
            select(_subscriptions.c.account_id)
            .where(_subscriptions.c.period_end_time <= self._moment())
            .order_by(_subscriptions.c.period_end_time)
            .limit(limit)
        )
        return list(self._connection.scalars(statement))
