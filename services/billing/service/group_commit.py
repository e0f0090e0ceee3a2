"""Calls that come at the same time share one transaction of the database.

While one group is written the next one gathers, so nobody waits for the sake of a group, and
the busier it is the less a call costs. Each call succeeds or is refused by itself.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import Refusal, Unavailable
from chassis.outbox import Outbox
from services.billing.domain import BudgetScope, Operation
from services.billing.service.journal import Journal
from services.billing.store import AccountBooks, DatabaseTime, Moment, UnitOfWork

_T = TypeVar("_T")

GROUP_MAX = 64
"""Calls in one transaction; bounds what a failing one takes with it."""
KEYS_MAX = 256
"""Reservations in one transaction of several calls."""
WAITING_MAX = 10_000
"""Calls that may wait; more than that means that the database has stopped."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as a consumer heard it; the inbox lets each take effect once."""

    consumer: str
    event_id: str

    @property
    def pair(self) -> tuple[str, str]:
        """The key of the inbox."""
        return self.consumer, self.event_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(ABC, Generic[_T]):
    """Something to be done in an account's books, and what has to be looked up for it.

    What is not named here is looked up when it is needed, at the price of a statement more.
    """

    caller: Caller

    @property
    @abstractmethod
    def keys(self) -> Collection[str]:
        """Keys of reservations."""

    @property
    def heard(self) -> Heard | None:
        """The event that this call is about: heard before, the call does nothing."""
        return None

    @property
    def operations(self) -> Collection[Operation]:
        """What has to be priced."""
        return ()

    @property
    def run_of_key(self) -> str:
        """The run whose API key is wanted."""
        return ""

    def scopes(self, books: AccountBooks) -> Mapping[BudgetScope, str]:
        """What budgets have to be looked at."""
        found: dict[BudgetScope, str] = {}
        for key in self.keys:
            held = books.reservation(key)
            if held is not None:
                found.update(held.reservation.scopes)
        return found

    @abstractmethod
    def run(self, journal: Journal) -> _T:
        """Does it. Refuses before anything was noted, or not at all."""


class _NotAlone(Exception):
    """A call was refused or failed half-way, so that its group must not be committed."""


_Waiting = tuple[Call[Any], "asyncio.Future[Any]"]
_Outcome = tuple[Any, BaseException | None]


class GroupCommit:
    """Runs calls in groups, one group at a time."""

    def __init__(self, database: Database, outbox: Outbox, moment: Moment = DatabaseTime) -> None:
        self.database = database
        self.moment = moment
        self._outbox = outbox
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    async def run(self, call: Call[_T]) -> _T:
        """What the call answers, once it is committed. Raises what it is refused with."""
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable("Too many calls are waiting for the ledger.")
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._task is None:
            # In a context of its own: a group belongs to no one of the requests in it.
            self._task = asyncio.create_task(self._work(), name="ledger", context=Context())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                if group := self._next():
                    await self._commit(group)
        finally:
            self._task = None
            # Some are left only if this task was cancelled: then nobody else comes for them.
            while self._waiting:
                self._waiting.popleft()[1].cancel()

    def _next(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        keys = 0
        while self._waiting and len(group) < GROUP_MAX:
            call, future = self._waiting[0]
            keys += len(call.keys)
            if group and keys > KEYS_MAX:
                break
            self._waiting.popleft()
            # Who has hung up before it began does not pay for it.
            if not future.done():
                group.append((call, future))
        return group

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        """Runs a group in one transaction; or one by one, if one of them spoils it for all."""
        calls = [call for call, _ in group]
        try:
            outcomes = await self.database.write(lambda connection: self._do(connection, calls))
        except asyncio.CancelledError:
            for _, future in group:
                future.cancel()
            raise
        except BaseException as error:  # noqa: BLE001  every waiting caller must hear of it
            if len(group) > 1 and _may_be_of_one(error):
                for each in group:
                    await self._commit([each])
                return
            outcomes = [(None, error)] * len(group)
        _answer(group, outcomes)

    def _do(self, connection: Connection, calls: Sequence[Call[Any]]) -> list[_Outcome]:
        unit = UnitOfWork(connection, self._outbox, self.moment)
        _look_up(unit, calls)
        outcomes = [self._do_one(unit, call, alone=len(calls) == 1) for call in calls]
        unit.flush()
        return outcomes

    def _do_one(self, unit: UnitOfWork, call: Call[Any], *, alone: bool) -> _Outcome:
        heard = call.heard
        if heard is not None and unit.has_heard(heard.pair):
            return None, None
        journal = Journal(unit.books(call.caller.account_id), call.caller)
        before = unit.progress
        try:
            answer = call.run(journal)
        except Refusal as refusal:
            if unit.progress > max(before, unit.kept):
                if alone:
                    raise
                raise _NotAlone from refusal
            return None, refusal
        if heard is not None:
            unit.note_heard(heard.pair)
        return answer, None


def _look_up(unit: UnitOfWork, calls: Sequence[Call[Any]]) -> None:
    """Locks the accounts, then reads what all calls need, each kind in one statement."""
    unit.open(call.caller.account_id for call in calls)
    unit.hear({call.heard.pair for call in calls if call.heard is not None})
    operations = {operation for call in calls for operation in call.operations}
    if operations:
        unit.load_prices(operations)
    unit.load_reservations({(call.caller.account_id, key) for call in calls for key in call.keys})
    unit.load_api_keys(
        {(call.caller.account_id, call.run_of_key) for call in calls if call.run_of_key}
    )
    reserving = {call.caller.account_id for call in calls if call.operations}
    if reserving:
        unit.load_usable_grants(reserving)
    unit.load_budgets(
        {
            (call.caller.account_id, *scope)
            for call in calls
            for scope in call.scopes(unit.books(call.caller.account_id)).items()
        }
    )


def _may_be_of_one(error: BaseException) -> bool:
    """Whether others of the group may succeed without the one that failed."""
    if isinstance(error, DBAPIError):
        return not error.connection_invalidated
    return isinstance(error, Exception) and not isinstance(error, Refusal)


def _answer(group: Sequence[_Waiting], outcomes: Sequence[_Outcome]) -> None:
    for (_, future), (answer, error) in zip(group, outcomes, strict=True):
        if future.done():
            continue
        if error is None:
            future.set_result(answer)
        elif isinstance(error, StopIteration):
            # No future can carry it: its caller would wait for ever.
            future.set_exception(RuntimeError("a call raised StopIteration"))
        else:
            future.set_exception(error)
