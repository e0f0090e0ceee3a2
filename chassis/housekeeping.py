"""Forgets what can no longer matter: inbox rows and stored answers past their time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection

from chassis import clock, inbox, replies
from chassis.bus import STREAM_AGE_S
from chassis.database import Database

log = logging.getLogger(__name__)

INBOX_AGE = timedelta(seconds=STREAM_AGE_S) + timedelta(days=1)
"""Longer than the stream keeps an event: nothing older can be delivered again."""
REPLIES_AGE = timedelta(days=30)
"""How long a request can be repeated and meets its first answer."""
EVERY_S = 3600.0
BATCHES_MAX = 1000
"""Batches in one round; what is left waits for the next."""


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
