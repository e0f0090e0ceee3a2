"""What runs beside the work: forgetting what is past its time, and noticing what stands still."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection

from chassis import clock, inbox, replies
from chassis.bus import STREAM_AGE_S
from chassis.consumers import Consumers
from chassis.database import Database
from chassis.outbox import Relay

log = logging.getLogger(__name__)

INBOX_AGE = timedelta(seconds=STREAM_AGE_S) + timedelta(days=1)
"""Longer than the stream keeps an event: nothing older can be delivered again."""
REPLIES_AGE = timedelta(days=30)
"""How long a request can be repeated and meets its first answer."""
EVERY_S = 3600.0
BATCHES_MAX = 1000
"""Batches in one round; what is left waits for the next."""


LATE_S = 60.0
"""Longer waits for publication, and longer silence of a consumer, are told."""
LOOK_EVERY_S = 30.0


async def keep_watch(relay: Relay, consumers: Consumers) -> None:
    """Writes a warning as long as events do not flow, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        warn_of_standstill(relay, consumers)


def warn_of_standstill(relay: Relay, consumers: Consumers) -> None:
    """One line for an outbox that does not empty, and one for every silent consumer."""
    if relay.lag_s > LATE_S:
        log.warning("events wait to be published", extra={"lag_s": round(relay.lag_s)})
    for name, age_s in consumers.heartbeat_ages().items():
        if age_s > LATE_S:
            log.warning("a consumer is silent", extra={"consumer": name, "silent_s": round(age_s)})


async def keep_tidy(database: Database) -> None:
    """Tidies up now and every hour, until cancelled."""
    while True:
        forgotten = await tidy(database)
        if forgotten:
            log.info("forgot rows past their time", extra={"rows": forgotten})
        await asyncio.sleep(EVERY_S)


async def tidy(database: Database) -> int:
    """One round, in short transactions; says how many rows went."""
    now = clock.now()
    return await _all(database, lambda c: inbox.forget(c, now - INBOX_AGE)) + await _all(
        database, lambda c: replies.forget(c, now - REPLIES_AGE)
    )


async def _all(database: Database, forget: Callable[[Connection], int]) -> int:
    total = 0
    for _ in range(BATCHES_MAX):
        gone = await database.write(forget)
        total += gone
        if not gone:
            break
    return total
