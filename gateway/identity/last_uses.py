"""When keys were last used, to the minute, written down beside the calls that use them."""

from __future__ import annotations

import asyncio
from datetime import datetime

from chassis import clock
from chassis.database import Database
from chassis.errors import Unavailable
from gateway.identity.domain import ApiKey
from gateway.identity.store.keys import note_uses

WRITE_EVERY_S = 5.0
NOTED_MAX = 1_000
"""Keys in one write; further ones are noted when they are used again."""


class LastUses:
    """Collects uses and writes them in one transaction now and then.

    At most one write for a key and minute, whatever the number of calls. A use in the last
    seconds before a crash may be forgotten: nothing is decided by it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[tuple[str, str], datetime] = {}

    def note(self, key: ApiKey) -> None:
        """Remembers that the key is being used now."""
        minute = clock.now().replace(second=0, microsecond=0)
        if key.last_use_time is not None and key.last_use_time >= minute:
            return
        if len(self._noted) < NOTED_MAX:
            self._noted[key.account_id, key.id] = minute

    async def run(self) -> None:
        """Writes what was noted, every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Writes what was noted."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            await self._database.write(lambda connection: note_uses(connection, noted))
        except Unavailable:
            # Those that came meanwhile are newer.
            self._noted = noted | self._noted
            raise
