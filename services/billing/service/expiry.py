"""Ends what has run out of time: reservations, grants, periods.

Any number of replicas may sweep; each thing ends once, by the database's clock.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from chassis.outbox import Outbox
from services.billing.domain import ReservationState
from services.billing.service.journal import Journal, open_journal
from services.billing.service.plans import renew_if_due
from services.billing.service.settlement import give_back
from services.billing.store import DatabaseTime, Moment, Overdue

log = logging.getLogger(__name__)

BATCH = 100
"""Reservations, or accounts, that one round looks at."""
INTERVAL_S = 5.0
"""Pause when nothing is overdue; the most that credits come or go late."""


class ExpirySweeper:
    """Expires overdue reservations and grants, and begins periods, for all accounts."""

    def __init__(self, database: Database, outbox: Outbox, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._outbox = outbox
        self._moment = moment

    async def run(self) -> None:
        """Sweeps until it is cancelled."""
        while True:
            # Periods before grants, so that nobody sees the old credits gone and no new ones.
            done = [
                await self.sweep(),
                await self.sweep_periods(),
                await self.sweep_grants(),
            ]
            if max(done) < BATCH:
                await asyncio.sleep(INTERVAL_S)

    async def sweep(self) -> int:
        """Expires one batch of reservations and says how many that were."""
        overdue = await self._database.read(
            lambda connection: Overdue(connection, self._moment).reservations(BATCH)
        )
        done = 0
        for account_id, group in itertools.groupby(overdue, key=lambda each: each[0]):
            ids = [reservation_id for _, reservation_id in group]
            done += await self._in_account(account_id, partial(self._expire, ids))
        return done

    async def sweep_periods(self) -> int:
        """Begins the periods of some accounts and says of how many."""
        return await self._each_account(
            lambda overdue: overdue.accounts_with_periods(BATCH),
            lambda journal: int(renew_if_due(journal)),
        )

    async def sweep_grants(self) -> int:
        """Ends overdue grants of some accounts and says how many."""
        return await self._each_account(
            lambda overdue: overdue.accounts_with_grants(BATCH), Journal.end_overdue
        )

    def _expire(self, ids: Sequence[str], journal: Journal) -> int:
        books = journal.books
        found = [
            books.reservation(key)
            for key in books.unit.load_reservations_by_id(books.account_id, ids)
        ]
        # Since they were seen somebody may have settled some.
        overdue = [held for held in found if held and held.reservation.is_overdue(journal.now)]
        if overdue:
            give_back(journal, overdue, ReservationState.EXPIRED, "expired")
        return len(overdue)

    async def _each_account(
        self, find: Callable[[Overdue], list[str]], end: Callable[[Journal], int]
    ) -> int:
        account_ids = await self._database.read(
            lambda connection: find(Overdue(connection, self._moment))
        )
        return sum([await self._in_account(account_id, end) for account_id in account_ids])

    async def _in_account(self, account_id: str, end: Callable[[Journal], int]) -> int:
        """In a transaction of its own, so that an account that fails holds up no other."""
        caller = Caller.service("billing", account_id=account_id)

        def work(connection: Connection) -> int:
            with open_journal(connection, caller, self._outbox, self._moment) as journal:
                return end(journal)

        try:
            return await self._database.write(work)
        except Exception:
            log.exception("an account could not be swept", extra={"account_id": account_id})
            return 0
