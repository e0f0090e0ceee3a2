"""Ends what has run out of time: reservations, grants, periods.

Any number of replicas may sweep; each thing ends once, by the database's clock.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from sqlalchemy import Connection

from chassis import clock
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import Unavailable
from chassis.outbox import Outbox
from services.billing.domain import ReservationState
from services.billing.service.journal import Busy, Journal, open_journal
from services.billing.service.plans import renew_if_due
from services.billing.service.settlement import give_back
from services.billing.store import DatabaseTime, Late, Moment, Overdue

log = logging.getLogger(__name__)

BATCH = 100
"""Things that one look finds."""
INTERVAL_S = 5.0
"""Pause after everything was looked at; the most that credits come or go late when idle."""
BUSY_MAX = 1_000
"""Accounts that one pass comes back to; the next one looks after more."""
REST_FIRST_S = 5.0
REST_MAX_S = 600.0
RESTING_MAX = 1_000
"""Accounts that failed, of which that is remembered."""

_Find = Callable[[Overdue, "Late | None", int], list[Late]]
_End = Callable[[Sequence[str], Journal], int]


class Resting:
    """Accounts that could not be swept are left alone for a while, longer each time."""

    def __init__(self) -> None:
        self._until_s: dict[str, tuple[float, float]] = {}

    def has(self, account_id: str) -> bool:
        """Whether the account is to be left alone."""
        until_s, _ = self._until_s.get(account_id, (0.0, 0.0))
        return clock.elapsed_s() < until_s

    def add(self, account_id: str) -> None:
        """Notes that an account failed."""
        _, before_s = self._until_s.pop(account_id, (0.0, 0.0))
        if len(self._until_s) >= RESTING_MAX:
            del self._until_s[next(iter(self._until_s))]
        rest_s = min(before_s * 2, REST_MAX_S) or REST_FIRST_S
        self._until_s[account_id] = clock.elapsed_s() + rest_s, rest_s

    def remove(self, account_id: str) -> None:
        """Notes that it went well."""
        self._until_s.pop(account_id, None)


class ExpirySweeper:
    """Expires overdue reservations and grants, and begins periods, for all accounts."""

    def __init__(self, database: Database, outbox: Outbox, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._outbox = outbox
        self._moment = moment
        self._resting = Resting()

    def loops(self) -> list[Callable[[], Awaitable[None]]]:
        """What sweeps until it is cancelled; one kind does not wait for another."""
        return [
            partial(_for_ever, sweep)
            for sweep in (self.sweep, self.sweep_periods, self.sweep_grants)
        ]

    async def sweep(self) -> int:
        """Expires overdue reservations and says how many."""
        return await self._pass(Overdue.reservations, _expire)

    async def sweep_periods(self) -> int:
        """Begins periods that are due and says how many."""
        return await self._pass(Overdue.periods, lambda _, journal: int(renew_if_due(journal)))

    async def sweep_grants(self) -> int:
        """Ends overdue grants and says how many; with a plan's the next period begins."""
        return await self._pass(Overdue.grants, _end_grants)

    async def _pass(self, find: _Find, end: _End) -> int:
        """Looks at everything overdue once, page by page.

        Accounts in no order, so that replicas do not meet at each; who is locked is not waited
        for before everybody else has had a turn.
        """
        done, after = 0, None
        busy: dict[str, list[str]] = {}
        while True:
            page = await self._look(find, after)
            by_account: dict[str, list[str]] = {}
            for late in page:
                by_account.setdefault(late.account_id, []).append(late.id)
            for account_id in random.sample(list(by_account), len(by_account)):
                ids = by_account[account_id]
                try:
                    done += await self._in_account(account_id, partial(end, ids), wait=False)
                except Busy:
                    if len(busy) < BUSY_MAX:
                        busy[account_id] = ids
            if len(page) < BATCH:
                break
            after = page[-1]
        for account_id, ids in busy.items():
            done += await self._in_account(account_id, partial(end, ids), wait=True)
        return done

    async def _look(self, find: _Find, after: Late | None) -> list[Late]:
        return await self._database.read(
            lambda connection: find(Overdue(connection, self._moment), after, BATCH)
        )

    async def _in_account(
        self, account_id: str, end: Callable[[Journal], int], *, wait: bool
    ) -> int:
        """In a transaction of its own, so that an account that fails holds up no other.

        Raises Busy, unless it is to wait, and Unavailable when the database is.
        """
        if self._resting.has(account_id):
            return 0
        caller = Caller.service("billing", account_id=account_id)

        def work(connection: Connection) -> int:
            with open_journal(connection, caller, self._outbox, self._moment, wait=wait) as journal:
                return end(journal)

        try:
            done = await self._database.write(work)
        except Exception as error:
            if not wait and isinstance(error, (Busy, Unavailable)):
                raise
            self._resting.add(account_id)
            log.exception("an account could not be swept", extra={"account_id": account_id})
            return 0
        self._resting.remove(account_id)
        return done


def _expire(ids: Sequence[str], journal: Journal) -> int:
    books = journal.books
    found = [
        books.reservation(key) for key in books.unit.load_reservations_by_id(books.account_id, ids)
    ]
    # Since they were seen somebody may have settled some.
    overdue = [held for held in found if held and held.reservation.is_overdue(journal.now)]
    if overdue:
        give_back(journal, overdue, ReservationState.EXPIRED, "expired")
    return len(overdue)


def _end_grants(_: Sequence[str], journal: Journal) -> int:
    # Nobody is to see the old period's credits gone and no new ones.
    renewed = renew_if_due(journal)
    return journal.end_overdue() + int(renewed)


async def _for_ever(sweep: Callable[[], Awaitable[int]]) -> None:
    while True:
        await sweep()
        await asyncio.sleep(INTERVAL_S)
