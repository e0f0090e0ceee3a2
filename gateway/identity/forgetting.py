"""What identity forgets: counts, tokens and sessions that are long over. Never the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection

from chassis import clock
from chassis.database import Database
from gateway.identity.store.attempts import forget_attempts
from gateway.identity.store.keys import forget_secrets
from gateway.identity.store.sessions import forget_sessions, forget_tokens

EVERY_S = 3600.0
BATCHES_MAX = 1_000
"""Batches in one round; what is left waits for the next."""
SESSIONS_AGE = timedelta(days=30)
"""After its end in any case: addresses of past logins are known ones for so long."""
TOKENS_AGE = timedelta(days=1)
SECRETS_AGE = timedelta(days=30)
"""For which a retired secret is still told that its key has another one."""


class Forgetting:
    """Deletes in small transactions, now and every hour."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Forgets until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(EVERY_S)

    async def once(self) -> int:
        """One round; says how many rows went."""
        now = clock.now()
        works: list[Callable[[Connection], int]] = [
            lambda connection: forget_attempts(connection, now),
            lambda connection: forget_tokens(connection, now - TOKENS_AGE),
            lambda connection: forget_sessions(connection, now - SESSIONS_AGE),
            lambda connection: forget_secrets(connection, now - SECRETS_AGE),
        ]
        return sum([await self._all(work) for work in works])

    async def _all(self, work: Callable[[Connection], int]) -> int:
        total = 0
        for _ in range(BATCHES_MAX):
            gone = await self._database.write(work)
            total += gone
            if not gone:
                break
        return total
