"""The only way out for events: a row beside the effect, published after the commit.

A crash at any point may repeat a publication but never lose one; the stream and the inbox
absorb repetitions. Order is kept within a batch of one relay, and not promised beyond it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from google.protobuf.message import Message
from sqlalchemy import Connection, Row, delete, or_, select, update

from chassis import clock, interceptors
from chassis.bus import Bus, Publication
from chassis.database import Database
from chassis.errors import Unavailable
from chassis.events import PAYLOAD_MAX_BYTES, Envelope, subject_of
from chassis.ids import new_id
from chassis.plumbing import new_metadata

log = logging.getLogger(__name__)

BATCH = 256
POLL_S = 1.0
"""How often the table is looked at when no commit wakes the relay: rows of a crashed one."""
LEASE_S = 5.0
"""How long others leave a claimed row alone; longer than a publication takes."""
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
STOP_GRACE_S = 5.0

_outbox = new_metadata().tables["outbox"]
TEXT_MAX_CHARS = {"about": 128, "request_id": 64, "traceparent": 64}
"""Longer ones are cut: a fact is not worth losing for what only helps to find it."""


class Fact(NamedTuple):
    """Something that happened to the resource with the id `about`."""

    message: Message
    about: str
    request_id: str = ""
    traceparent: str = ""


class Outbox:
    """Writes events of one source into the caller's transaction."""

    def __init__(self, source: str) -> None:
        self._source = source

    def append(
        self,
        connection: Connection,
        message: Message,
        about: str,
        *,
        request_id: str = "",
        traceparent: str = "",
    ) -> str:
        """Notes the fact `message` about the resource with this id; returns the event's id.

        Request id and trace are, in this order, those given, the message's own, and those
        of the running call. Raises ValueError for a body above PAYLOAD_MAX_BYTES and for
        ids that cannot be part of a subject.
        """
        return self.append_all(connection, [Fact(message, about, request_id, traceparent)])[0]

    def append_all(self, connection: Connection, facts: Sequence[Fact]) -> list[str]:
        """Notes many facts in one statement, each as `append` does; returns the events' ids."""
        rows = [self._row(fact) for fact in facts]
        if rows:
            connection.execute(_outbox.insert(), rows)
        return [str(row["event_id"]) for row in rows]

    def _row(self, fact: Fact) -> dict[str, object]:
        message = fact.message
        payload = message.SerializeToString()
        if len(payload) > PAYLOAD_MAX_BYTES:
            raise ValueError(f"an event of {len(payload)} bytes is too large to be published")
        texts = {
            "about": fact.about,
            "request_id": fact.request_id
            or getattr(message, "request_id", "")
            or interceptors.request_id.get(),
            "traceparent": fact.traceparent or interceptors.traceparent.get(),
        }
        return {
            "event_id": new_id(),
            "subject": subject_of(message),
            "type": message.DESCRIPTOR.full_name,
            "source": self._source,
            "payload": payload,
            "create_time": clock.now(),
            **{name: text[: TEXT_MAX_CHARS[name]] for name, text in texts.items()},
        }


class Relay:
    """Moves the outbox of one database to the stream. Several may share the database."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._oldest: datetime | None = None
        self._task: asyncio.Task[None] | None = None
        database.on_commit(self._wake.set)
        bus.on_change(self._wake.set)

    @property
    def lag_s(self) -> float:
        """Age of the oldest row that was waiting when the relay last looked; 0 when none was."""
        return (clock.now() - self._oldest).total_seconds() if self._oldest else 0.0

    def start(self) -> None:
        """Begins to relay in the background."""
        self._task = asyncio.create_task(self._run(), name="relay")

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Publishes what is there, then ends; gives up after the grace, the rows stay."""
        self._stopping.set()
        self._wake.set()
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._task, grace_s)

    async def _run(self) -> None:
        delay_s = BACKOFF_FIRST_S
        while True:
            last_round = self._stopping.is_set()
            self._wake.clear()
            try:
                settled = await self._drain()
            except Unavailable as error:
                if delay_s == BACKOFF_FIRST_S:
                    log.warning("the outbox waits: %s", error)
                settled = False
            except Exception:
                log.exception("the outbox could not be relayed")
                settled = False
            if last_round:
                return
            if settled:
                if delay_s > BACKOFF_FIRST_S:
                    log.info("the outbox goes on")
                delay_s = BACKOFF_FIRST_S
                await _wait(self._wake, POLL_S)
            else:
                # Commits must not shorten this, or a failing stream would be hammered.
                await _wait(self._stopping, delay_s)
                delay_s = min(delay_s * 2, BACKOFF_MAX_S)

    async def _drain(self) -> bool:
        """Publishes until nothing is free; false if the stream did not confirm everything."""
        while await self._database.glance(self._look) and self._bus.connected:
            batch = await self._database.write(self._claim)
            if not batch:
                return True
            confirmed = await self._bus.publish([_publication(row) for row in batch])
            done = [row.sequence for row, ok in zip(batch, confirmed, strict=True) if ok]
            failed = [row.sequence for row, ok in zip(batch, confirmed, strict=True) if not ok]
            await self._settle(done, failed)
            if failed:
                log.warning("%d of %d events were not confirmed", len(failed), len(batch))
                if self._bus.connected:
                    await self._bus.ensure_stream()
                return False
        return True

    def _look(self, connection: Connection) -> bool:
        # A read, because an idle poll or a commit without events should cost no write.
        oldest = select(_outbox.c.create_time).order_by(_outbox.c.sequence).limit(1)
        self._oldest = connection.execute(oldest).scalar()
        return self._oldest is not None

    def _claim(self, connection: Connection) -> Sequence[Row[Any]]:
        now = clock.now()
        free = (
            select(_outbox)
            .where(or_(_outbox.c.claim_time.is_(None), _outbox.c.claim_time < now))
            .order_by(_outbox.c.sequence)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        rows = connection.execute(free).all()
        self._mark(connection, [row.sequence for row in rows], now + timedelta(seconds=LEASE_S))
        return rows

    async def _settle(self, done: list[int], failed: list[int]) -> None:
        def work(connection: Connection) -> None:
            if done:
                connection.execute(delete(_outbox).where(_outbox.c.sequence.in_(done)))
            self._mark(connection, failed, None)

        await self._database.write(work)

    def _mark(self, connection: Connection, rows: list[int], until: datetime | None) -> None:
        if rows:
            connection.execute(
                update(_outbox).where(_outbox.c.sequence.in_(rows)).values(claim_time=until)
            )


def _publication(row: Row[Any]) -> Publication:
    envelope = Envelope(
        event_id=row.event_id,
        type=row.type,
        source=row.source,
        about=row.about,
        time=row.create_time,
        request_id=row.request_id,
        traceparent=row.traceparent,
    )
    return Publication(row.subject, row.payload, envelope.headers())


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
