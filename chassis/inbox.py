"""Remembers which consumer has handled which event, in the transaction of the effect.

Whatever is delivered twice takes effect once, as long as the handler asks here first and
writes in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, tuple_

from chassis import clock
from chassis.plumbing import new_metadata
from chassis.statements import as_tuples, insert_if_absent, matching

FORGET_BATCH = 1_000
"""Rows that one call forgets at most, so that its transaction stays short."""

_inbox = new_metadata().tables["inbox"]
_SEEN = select(_inbox.c.consumer, _inbox.c.event_id).select_from(
    matching(_inbox, (_inbox.c.consumer, _inbox.c.event_id), "events")
)


def first_time(connection: Connection, consumer: str, event_id: str) -> bool:
    """Notes the event; false if this consumer had noted it before.

    A concurrent transaction with the same event waits here until this one has ended.
    """
    return insert_if_absent(
        connection, _inbox, consumer=consumer, event_id=event_id, create_time=clock.now()
    )


def seen(connection: Connection, consumer: str, event_id: str) -> bool:
    """Whether the consumer has noted the event; spares costly work, never replaces noting."""
    found = select(_inbox.c.event_id).where(
        _inbox.c.consumer == consumer, _inbox.c.event_id == event_id
    )
    return connection.execute(found).first() is not None


def seen_of(connection: Connection, events: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these events, each with its consumer, were noted."""
    if not events:
        return set()
    rows = connection.execute(_SEEN, {"events": as_tuples(events)})
    return {(consumer, event_id) for consumer, event_id in rows}


def note_all(connection: Connection, events: Collection[tuple[str, str]]) -> None:
    """Notes events that nobody has noted; a lock that the caller holds keeps others from it."""
    if events:
        now = clock.now()
        rows = [
            {"consumer": consumer, "event_id": event_id, "create_time": now}
            for consumer, event_id in events
        ]
        connection.execute(insert(_inbox), rows)


def erase(connection: Connection, consumer: str, event_id: str) -> None:
    """Takes a note back."""
    connection.execute(
        delete(_inbox).where(_inbox.c.consumer == consumer, _inbox.c.event_id == event_id)
    )


def forget(connection: Connection, before: datetime) -> int:
    """Forgets events noted before this time, at most FORGET_BATCH of them; says how many.

    Safe only for times before which nothing can be delivered any more: the stream's age limit.
    """
    old = (
        select(_inbox.c.consumer, _inbox.c.event_id)
        .where(_inbox.c.create_time < before)
        .order_by(_inbox.c.create_time)
        .limit(FORGET_BATCH)
    )
    key = tuple_(_inbox.c.consumer, _inbox.c.event_id)
    return connection.execute(delete(_inbox).where(key.in_(old))).rowcount
