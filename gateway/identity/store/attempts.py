"""Rows that count attempts to sign in, by the hash of what they are counted for."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, or_, select, update

from chassis.errors import Unavailable
from chassis.statements import insert_if_absent
from gateway.identity.schema import sign_in_attempts as table

FORGET_BATCH = 1_000
CLOCKS_DIFFER = timedelta(minutes=1)
"""Between processes, and between two calls that wait for each other, at most."""
_TRIES = 3
"""To find a row that may be forgotten between being met and being locked."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many attempts may fail for one subject before it has to wait."""

    subject: str
    """Hash of what is counted."""
    failures_max: int
    window: timedelta
    lock: timedelta


def take_attempt(connection: Connection, limits: list[Limit], now: datetime) -> datetime | None:
    """Counts an attempt as failed, until it is given back; or answers until when to wait.

    While somebody has to wait nothing is counted, so that trying on makes it no longer.
    """
    rows = {}
    for limit in _in_order(limits):
        rows[limit] = _locked(connection, limit, now)
    # What ends later than it could was set by a clock that has been put back since.
    waits: list[datetime] = [
        row.lock_end_time
        for limit, row in rows.items()
        if row.lock_end_time is not None
        and now < row.lock_end_time <= now + limit.lock + CLOCKS_DIFFER
    ]
    if waits:
        return max(waits)
    for limit, row in rows.items():
        ends = row.window_end_time
        counting = now < ends <= now + limit.window + CLOCKS_DIFFER
        running = counting and row.lock_end_time is None
        failures = row.failures + 1 if running else 1
        connection.execute(
            update(table)
            .where(table.c.subject == limit.subject)
            .values(
                failures=failures,
                window_end_time=ends if running else now + limit.window,
                lock_end_time=now + limit.lock if failures >= limit.failures_max else None,
            )
        )
    return None


def _in_order(limits: list[Limit]) -> list[Limit]:
    """In one order for all, so that two who come at once do not wait for each other."""
    return sorted(limits, key=lambda each: each.subject)


def _locked(connection: Connection, limit: Limit, now: datetime) -> Row[Any]:
    mine = select(table).where(table.c.subject == limit.subject).with_for_update()
    for _ in range(_TRIES):
        insert_if_absent(
            connection,
            table,
            subject=limit.subject,
            failures=0,
            window_end_time=now + limit.window,
        )
        row = connection.execute(mine).one_or_none()
        if row is not None:
            return row
    raise Unavailable


def give_back(
    connection: Connection, limits: list[Limit], *, forgiven: Container[Limit] = ()
) -> None:
    """Takes one attempt out of the count: it did not fail; who is forgiven has none left."""
    for limit in _in_order(limits):
        mine = table.c.subject == limit.subject
        if limit in forgiven:
            connection.execute(delete(table).where(mine))
            continue
        connection.execute(
            update(table)
            .where(mine, table.c.failures > 0)
            .values(failures=table.c.failures - 1, lock_end_time=None)
        )


def forget_attempts(connection: Connection, now: datetime) -> int:
    """Deletes counts that mean nothing any more; says how many."""
    old = (
        select(table.c.subject)
        .where(
            table.c.window_end_time < now,
            or_(table.c.lock_end_time.is_(None), table.c.lock_end_time < now),
        )
        .limit(FORGET_BATCH)
        # Who is just being counted is forgotten the next time.
        .with_for_update(skip_locked=True)
    )
    return connection.execute(delete(table).where(table.c.subject.in_(old))).rowcount
