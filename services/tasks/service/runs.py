"""Runs: generate, get, list."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection
from writer.events.v1 import generation_pb2
from writer.types.v1 import types_pb2

from chassis import clock
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import Refusal
from chassis.ids import derived_id, new_id
from chassis.outbox import Outbox
from chassis.pages import PageQuery
from chassis.replies import Reply
from services.tasks.domain import (
    Generation,
    GenerationState,
    Pictures,
    PictureState,
    Run,
    RunState,
    Stage,
    Task,
    TaskStatus,
)
from services.tasks.errors import (
    ReservationSettled,
    SeveralSites,
    TasksBeingWritten,
    TasksNotQueued,
)
from services.tasks.peers import Billing, Reservation, TextOrder
from services.tasks.store.runs import RunStore
from services.tasks.store.tasks import TaskStore

log = logging.getLogger(__name__)
_M = TypeVar("_M", bound=Message)


class Runs:
    """Requests to write."""

    def __init__(self, database: Database, outbox: Outbox, billing: Billing) -> None:
        self._database = database
        self._outbox = outbox
        self._billing = billing

    async def generate(
        self, caller: Caller, task_ids: Sequence[str], stop_after: Stage, reply: Reply[Run, _M]
    ) -> _M:
        """Starts writing the tasks.

        Raises NotFound naming the missing, TasksNotQueued, TasksBeingWritten, SeveralSites and
        INSUFFICIENT_CREDITS; then nothing has changed. Credits are held before the run is
        stored: a crash in between leaves reservations that expire, never unpaid work.
        """

        def look(connection: Connection) -> tuple[_M | None, list[Task]]:
            # One snapshot: between an answer and the state it left there must be no gap.
            before = reply.stored(connection)
            return before, [] if before else _writable(connection, caller, task_ids)

        before, tasks = await self._database.read(look)
        if before is not None:
            return before
        run_id = _run_id(caller, reply)
        orders = [
            TextOrder(_reservation_key(run_id, task.id), task.brief.word_count) for task in tasks
        ]
        tenant = _tenant(caller, tasks)
        reservations = await self._billing.reserve(tenant, run_id, orders)
        if not all(reservation.is_open for reservation in reservations):
            raise ReservationSettled
        try:
            return await self._database.write(
                lambda connection: reply.once(
                    connection,
                    lambda: self._create(
                        connection, caller, tenant, run_id, task_ids, stop_after, reservations
                    ),
                )
            )
        except Refusal:
            # Another call was faster between the check and now. It holds other reservations:
            # the same call would have met its own answer here instead of a refusal.
            await self._give_back(tenant, reservations)
            raise

    async def get(self, caller: Caller, run_id: str) -> Run:
        """The run with its generations. Raises NotFound."""
        return await self._database.read(
            lambda connection: RunStore(connection, caller).get(run_id)
        )

    async def page(
        self, caller: Caller, query: PageQuery, state: str
    ) -> tuple[list[Run], str, int]:
        """One page without generations, the token of the next, and how many there are."""
        return await self._database.read(
            lambda connection: RunStore(connection, caller).page(query, state)
        )

    def _create(
        self,
        connection: Connection,
        caller: Caller,
        tenant: Caller,
        run_id: str,
        task_ids: Sequence[str],
        stop_after: Stage,
        reservations: Sequence[Reservation],
    ) -> Run:
        tasks = _writable(connection, caller, task_ids, lock=True)
        pictures = None if stop_after is Stage.CONTENT else Pictures(state=PictureState.PENDING)
        generations = tuple(
            Generation(
                id=derived_id("generation", run_id, task.id),
                task_id=task.id,
                task_title=task.brief.title,
                state=GenerationState.QUEUED,
                pictures=pictures,
            )
            for task in tasks
        )
        now = clock.now()
        run = RunStore(connection, caller).create(
            Run(
                id=run_id,
                revision=1,
                site_id=tenant.site_id,
                sector_id=tenant.sector_id,
                state=RunState.QUEUED,
                stop_after=stop_after,
                credits_reserved=sum(reservation.credits for reservation in reservations),
                credits_charged=0,
                create_time=now,
                update_time=now,
                end_time=None,
                generations=generations,
            ),
            tasks,
            reservations,
        )
        store = TaskStore(connection, caller)
        for generation in generations:
            store.start_generation(generation.task_id, generation.id)
        self._outbox.append(
            connection,
            generation_pb2.RunCreated(
                account_id=caller.account_id,
                site_id=tenant.site_id,
                sector_id=tenant.sector_id,
                run_id=run_id,
                stop_after=types_pb2.Stage.Value.Value(stop_after),
                tasks=len(tasks),
                request_id=caller.request_id,
            ),
            about=run_id,
        )
        return run

    async def _give_back(self, tenant: Caller, reservations: Sequence[Reservation]) -> None:
        for reservation in reservations:
            try:
                await self._billing.void(tenant, reservation.key, "the run was refused")
            except Refusal as error:
                log.warning("a reservation is left to expire: %s", error.message)


def _writable(
    connection: Connection, caller: Caller, task_ids: Sequence[str], *, lock: bool = False
) -> list[Task]:
    """The tasks, when all of them may be written now."""
    tasks = TaskStore(connection, caller).get_all(task_ids, lock=lock)
    if len({task.site_id for task in tasks}) > 1:
        raise SeveralSites
    busy = RunStore(connection, caller).active_task_ids(task_ids)
    if busy:
        raise TasksBeingWritten(busy)
    written = [task.id for task in tasks if task.status != TaskStatus.QUEUED]
    if written:
        raise TasksNotQueued(written)
    return tasks


def _run_id(caller: Caller, reply: Reply[Run, _M]) -> str:
    """The same id for the same request, so that its retry meets its own reservations.

    Another request under the same request id gets another: when it is refused, it gives back
    what it reserved itself and nothing else.
    """
    if not reply.request_id:
        return new_id()
    return derived_id(
        "run", caller.account_id, caller.principal, reply.request_id, reply.fingerprint
    )


def _reservation_key(run_id: str, task_id: str) -> str:
    return f"generation/{derived_id('generation', run_id, task_id)}"


def _tenant(caller: Caller, tasks: Sequence[Task]) -> Caller:
    """This caller at the site (and the sector, where it is one) of the tasks."""
    sectors = {task.sector_id for task in tasks}
    return replace(
        caller,
        site_id=tasks[0].site_id,
        sector_id=sectors.pop() if len(sectors) == 1 else "",
    )
