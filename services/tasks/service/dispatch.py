"""Hands waiting generations to the workers, fairly over accounts.

One account's thousand tasks do not hold up another's one: turns go round the accounts, and
none has more than a bounded number in the workers' hands at once.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection, Row
from writer.events.v1 import generation_pb2
from writer.types.v1 import types_pb2

from chassis.database import Database
from chassis.outbox import Outbox
from services.tasks.store import waiting

IN_FLIGHT_MAX = 10
"""Generations of one account that workers may hold at once, when nothing else is set."""
BATCH = 100
"""Generations released in one transaction."""
IDLE_S = 2.0
"""Pause between looks when nobody wakes the dispatcher; another replica may have crashed."""


class Dispatcher:
    """Releases generations whenever one may go."""

    def __init__(
        self, database: Database, outbox: Outbox, in_flight_max: int = IN_FLIGHT_MAX
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._in_flight_max = in_flight_max
        self._woken = asyncio.Event()
        database.on_commit(self._woken.set)

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            self._woken.clear()
            while await self.release_once():
                pass
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def release_once(self) -> int:
        """Releases one batch and says how many went out."""
        found = await self._database.read(self._next)
        if not found:
            return 0
        return await self._database.write(self._release)

    def _next(self, connection: Connection) -> list[Row[tuple[object, ...]]]:
        return list(
            waiting.next_in_turn(connection, in_flight_max=self._in_flight_max, batch=BATCH)
        )

    def _release(self, connection: Connection) -> int:
        released = 0
        for row in self._next(connection):
            if waiting.release(connection, row.account_id, row.id):
                self._outbox.append(connection, requested(row), about=row.id)
                released += 1
        return released


def requested(row: Row[tuple[object, ...]]) -> generation_pb2.GenerationRequested:
    """The event that asks the workers to write one generation."""
    brief = row.brief
    return generation_pb2.GenerationRequested(
        account_id=row.account_id,
        site_id=row.site_id,
        sector_id=row.sector_id,
        run_id=row.run_id,
        generation_id=row.id,
        task_id=row.task_id,
        reservation_key=row.reservation_key,
        stop_after=types_pb2.Stage.Value.Value(row.stop_after),
        request_id=row.request_id,
        brief=generation_pb2.Brief(
            title=brief["title"],
            description=brief["description"],
            keywords=brief["keywords"],
            content_type=types_pb2.ContentType.Value.Value(brief["content_type"]),
            content_structure=types_pb2.ContentStructure.Value.Value(brief["content_structure"]),
            word_count=brief["word_count"],
            prompt_override=brief["prompt_override"],
            cluster_id=brief["cluster_id"],
            taxonomy_term_id=brief["taxonomy_term_id"],
            sector_name=brief["sector_name"],
        ),
    )
