"""Calls that come at the same time share one transaction of the database.

While one group is written the next one gathers, so nobody waits for the sake of a group, and
the busier it is the less a call costs. Each call succeeds or is refused by itself, and none
waits for the lock of an account that is not its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from contextvars import Context
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from chassis.database import Database
from chassis.errors import Refusal, Unavailable
from chassis.outbox import Outbox
from services.billing.service.calls import Call
from services.billing.service.journal import Journal
from services.billing.store import DatabaseTime, Moment, UnitOfWork

_T = TypeVar("_T")

GROUP_MAX = 64
"""Calls in one transaction; bounds what a failing one takes with it."""
KEYS_MAX = 256
"""Reservations in one transaction of several calls."""
WAITING_MAX = 10_000
"""Calls that may wait; more than that means that the database has stopped."""
LOCKED_MAX = 4
"""Accounts whose locks are waited for at the same time: each takes a connection."""
LOCKED_WAIT_S = 5.0
"""How long calls wait for one of these; for the lock itself as long as the database lets them."""


class _NotAlone(Exception):
    """A call was refused or failed half-way, so that its group must not be committed."""


class _Locked(Exception):
    """Somebody has locked the call's account; it is for its own lane to wait for that."""


_Waiting = tuple[Call[Any], "asyncio.Future[Any]"]
_Outcome = tuple[Any, BaseException | None]


class _Lane:
    """Calls that are worked off one group after the other."""

    def __init__(self, locked_account: str = "") -> None:
        self.locked_account = locked_account
        """The one account that it is for and waits for; empty for the lane of everybody else."""
        self.waiting: deque[_Waiting] = deque()
        self.task: asyncio.Task[None] | None = None

    def next_group(self) -> list[_Waiting]:
        """The next calls; those whose callers have hung up are left out."""
        group: list[_Waiting] = []
        keys = 0
        while self.waiting and len(group) < GROUP_MAX:
            call, future = self.waiting[0]
            keys += len(call.keys)
            if group and keys > KEYS_MAX:
                break
            self.waiting.popleft()
            # Who has hung up before it began does not pay for it.
            if not future.done():
                group.append((call, future))
        return group

    def cancel(self) -> None:
        """Lets nobody wait any more."""
        while self.waiting:
            self.waiting.popleft()[1].cancel()


class GroupCommit:
    """Runs calls in groups, one group at a time, and apart from these whoever has to wait."""

    def __init__(self, database: Database, outbox: Outbox, moment: Moment = DatabaseTime) -> None:
        self.database = database
        self.moment = moment
        self._outbox = outbox
        self._main = _Lane()
        self._locked: dict[str, _Lane] = {}
        self._free = asyncio.Semaphore(LOCKED_MAX)

    async def run(self, call: Call[_T]) -> _T:
        """What the call answers, once it is committed. Raises what it is refused with."""
        lanes = (self._main, *self._locked.values())
        if sum(len(lane.waiting) for lane in lanes) >= WAITING_MAX:
            raise Unavailable("Too many calls are waiting for the ledger.")
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._put(self._locked.get(call.caller.account_id, self._main), (call, future))
        return await future

    def _put(self, lane: _Lane, waiting: _Waiting) -> None:
        lane.waiting.append(waiting)
        if lane.task is None:
            work = self._work_locked if lane.locked_account else self._work
            # In a context of its own: a group belongs to no one of the requests in it.
            lane.task = asyncio.create_task(work(lane), name="ledger", context=Context())

    async def _work(self, lane: _Lane) -> None:
        try:
            while lane.waiting:
                if group := lane.next_group():
                    await self._commit(group, wait=bool(lane.locked_account))
        finally:
            lane.task = None
            self._locked.pop(lane.locked_account, None)
            # Some are left only if this task was cancelled: then nobody else comes for them.
            lane.cancel()

    async def _work_locked(self, lane: _Lane) -> None:
        try:
            async with asyncio.timeout(LOCKED_WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            del self._locked[lane.locked_account]
            refusal = Unavailable("Too many accounts are locked by others.")
            _answer(lane.waiting, [(None, refusal)] * len(lane.waiting))
            return
        except asyncio.CancelledError:
            lane.cancel()
            raise
        try:
            await self._work(lane)
        finally:
            self._free.release()

    async def _commit(self, group: Sequence[_Waiting], *, wait: bool) -> None:
        """Runs a group in one transaction; or one by one, if one of them spoils it for all."""
        calls = [call for call, _ in group]
        try:
            outcomes = await self.database.write(
                lambda connection: self._do(connection, calls, wait=wait)
            )
        except asyncio.CancelledError:
            for _, future in group:
                future.cancel()
            raise
        except BaseException as error:  # noqa: BLE001  every waiting caller must hear of it
            if len(group) > 1 and _may_be_of_one(error):
                for call, future in group:
                    if not future.done():
                        await self._commit([(call, future)], wait=wait)
                return
            outcomes = [(None, error)] * len(group)
        self._set_apart(group, outcomes)
        _answer(group, outcomes)

    def _set_apart(self, group: Sequence[_Waiting], outcomes: Sequence[_Outcome]) -> None:
        """Has those whose account is locked wait for it by themselves, in their order."""
        for waiting, (_, error) in zip(group, outcomes, strict=True):
            if isinstance(error, _Locked):
                account_id = waiting[0].caller.account_id
                self._put(self._locked.setdefault(account_id, _Lane(account_id)), waiting)

    def _do(
        self, connection: Connection, calls: Sequence[Call[Any]], *, wait: bool
    ) -> list[_Outcome]:
        unit = UnitOfWork(connection, self._outbox, self.moment)
        accounts = {call.caller.account_id for call in calls}
        if wait:
            unit.open(accounts)
        else:
            accounts = unit.open_free(accounts)
        _look_up(unit, [call for call in calls if call.caller.account_id in accounts])
        outcomes = [
            self._do_one(unit, call, alone=len(calls) == 1)
            if call.caller.account_id in accounts
            else (None, _Locked())
            for call in calls
        ]
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
    """Reads what all calls need, each kind in one statement."""
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


def _answer(group: Iterable[_Waiting], outcomes: Sequence[_Outcome]) -> None:
    for (_, future), (answer, error) in zip(group, outcomes, strict=True):
        if future.done() or isinstance(error, _Locked):
            continue
        if error is None:
            future.set_result(answer)
        elif isinstance(error, StopIteration):
            # No future can carry it: its caller would wait for ever.
            future.set_exception(RuntimeError("a call raised StopIteration"))
        else:
            future.set_exception(error)
