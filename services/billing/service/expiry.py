"""Gives back what nobody settled in time. Any number of replicas may sweep; each hold ends once."""

from __future__ import annotations

import asyncio
import itertools

from sqlalchemy import Connection

from chassis import clock
from chassis.caller import Caller
from chassis.database import Database
from services.billing.events import Facts
from services.billing.service.settlement import give_back
from services.billing.store import Overdue

BATCH = 100
"""Reservations that one transaction expires at most, so that it stays short."""
INTERVAL_S = 5.0
"""Pause when nothing is overdue; the most that credits come back late."""


class ExpirySweeper:
    """Expires overdue reservations of all accounts."""

    def __init__(self, database: Database, facts: Facts) -> None:
        self._database = database
        self._facts = facts

    async def run(self) -> None:
        """Sweeps until it is cancelled."""
        while True:
            if await self.sweep() < BATCH:
                await asyncio.sleep(INTERVAL_S)

    async def sweep(self) -> int:
        """Expires one batch and says how many that were."""
        if not await self._database.read(_anything_overdue):
            return 0
        return await self._database.write(self._expire)

    def _expire(self, connection: Connection) -> int:
        expired = Overdue(connection).expire(clock.now(), BATCH)
        # In the order of the accounts, so that two sweepers never wait for each other.
        for account_id, group in itertools.groupby(expired, key=lambda each: each.account_id):
            caller = Caller.service("billing", account_id=account_id)
            give_back(connection, caller, list(group), self._facts)
        return len(expired)


def _anything_overdue(connection: Connection) -> bool:
    return Overdue(connection).exist(clock.now())
