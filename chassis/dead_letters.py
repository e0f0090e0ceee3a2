"""Deliveries that were given up, with payload and reason, and their way back.

A letter that is sent again keeps its event's id and names the one consumer that it is
for, so that nobody else hears of it twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from chassis import clock
from chassis.bus import Bus, Publication
from chassis.database import Database
from chassis.errors import InvalidTransition, NotFound, Unavailable
from chassis.ids import derived_id
from chassis.plumbing import new_metadata
from chassis.statements import insert_if_absent

PAGE_MAX = 200
REASON_MAX_CHARS = 2_000
EVENT_ID_MAX_CHARS = 64
ADDRESSEE = "writer-consumer"
"""Header that names the only consumer a repeated event is for."""
ENDED = "writer-ended"
"""Header that says: what the event was about has been ended as failed, and stays so."""

_letters = new_metadata().tables["dead_letters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What was delivered, to whom, how often, and why it was given up."""

    id: str
    consumer: str
    event_id: str
    subject: str
    payload: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    reason: str
    attempts: int
    create_time: datetime


def store(
    connection: Connection,
    *,
    consumer: str,
    stream_sequence: int,
    event_id: str,
    subject: str,
    payload: bytes,
    headers: Mapping[str, str],
    reason: str,
    attempts: int,
) -> None:
    """Keeps a delivery; giving up the same publication again makes no second letter."""
    insert_if_absent(
        connection,
        _letters,
        id=derived_id("dead_letter", consumer, str(stream_sequence)),
        consumer=consumer,
        event_id=event_id[:EVENT_ID_MAX_CHARS],
        subject=subject,
        headers=json.dumps(dict(headers)),
        payload=payload,
        reason=_printable(reason),
        attempts=attempts,
        create_time=clock.now(),
    )


def list_letters(
    connection: Connection, *, consumer: str = "", limit: int = PAGE_MAX
) -> list[DeadLetter]:
    """The oldest letters, of one consumer or of all; at most PAGE_MAX."""
    statement = select(_letters).order_by(_letters.c.create_time, _letters.c.id)
    if consumer:
        statement = statement.where(_letters.c.consumer == consumer)
    rows = connection.execute(statement.limit(min(limit, PAGE_MAX)))
    return [_letter_from_row(row) for row in rows]


async def redrive(database: Database, bus: Bus, letter_id: str) -> None:
    """Sends a letter to its consumer once more and forgets it when the stream has it.

    Raises NotFound for an unknown letter, InvalidTransition for one whose work was ended (it
    would be absorbed as done), Unavailable when the stream does not confirm; a crash in
    between may send it twice, which the inbox absorbs.
    """

    def load(connection: Connection) -> DeadLetter | None:
        row = connection.execute(select(_letters).where(_letters.c.id == letter_id)).one_or_none()
        return _letter_from_row(row) if row is not None else None

    letter = await database.read(load)
    if letter is None:
        raise NotFound("dead letter", letter_id)
    if ENDED in letter.headers:
        raise InvalidTransition("Its work has ended as failed; ask for that work anew instead.")
    # The letter's id: the event's own is perhaps still in the stream's memory of duplicates.
    headers = {**letter.headers, "Nats-Msg-Id": letter.id, ADDRESSEE: letter.consumer}
    [stored] = await bus.publish([Publication(letter.subject, letter.payload, headers)])
    if not stored:
        raise Unavailable("NATS did not confirm the event.")
    await database.write(lambda c: c.execute(delete(_letters).where(_letters.c.id == letter_id)))


def _letter_from_row(row: Row[Any]) -> DeadLetter:
    values = {**row._mapping, "headers": json.loads(row.headers)}
    return DeadLetter(**values)


def _printable(reason: str) -> str:
    # PostgreSQL refuses NUL and lone surrogates, which an exception's text may hold.
    return reason[:REASON_MAX_CHARS].replace("\0", "").encode(errors="replace").decode()
