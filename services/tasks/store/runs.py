"""Rows of runs and of the generations in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from chassis import clock
from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.pages import PageQuery, paginate
from chassis.tenancy import visible
from services.tasks.domain import (
    ACTIVE,
    ENDED,
    Generation,
    GenerationState,
    Pictures,
    PictureState,
    Run,
    RunState,
    Stage,
    Task,
    run_state,
)
from services.tasks.schema import generations, runs

_SORTABLE = {"created_at": runs.c.create_time}


class RunStore:
    """Runs that one caller may see, over one connection."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def create(self, run: Run, tasks: Sequence[Task], reservations: Sequence[Any]) -> Run:
        """Inserts the run and one queued generation for each task.

        `run.generations`, `tasks` and `reservations` (anything with key and id) run in parallel.
        """
        tenant = {"account_id": self._caller.account_id}
        self._connection.execute(
            insert(runs).values(
                **tenant,
                id=run.id,
                site_id=run.site_id,
                sector_id=run.sector_id,
                revision=run.revision,
                state=run.state,
                stop_after=run.stop_after,
                credits_reserved=run.credits_reserved,
                credits_charged=0,
                principal=self._caller.principal,
                request_id=self._caller.request_id,
                create_time=run.create_time,
                update_time=run.update_time,
            )
        )
        rows = zip(run.generations, tasks, reservations, strict=True)
        self._connection.execute(
            insert(generations),
            [
                {
                    **tenant,
                    "id": generation.id,
                    "site_id": task.site_id,
                    "sector_id": task.sector_id,
                    "run_id": run.id,
                    "task_id": task.id,
                    "task_title": generation.task_title,
                    "position": position,
                    "state": generation.state,
                    "attempt": 0,
                    "reason": "",
                    "detail": "",
                    "brief": {**asdict(task.brief), "sector_name": task.sector_name},
                    "content_id": "",
                    "reservation_key": reservation.key,
                    "reservation_id": reservation.id,
                    "credits": 0,
                    "words_written": 0,
                    "model": "",
                    "prompt_tokens": 0,
                    "completion_tokens": 0,
                    "pictures_state": generation.pictures and generation.pictures.state,
                    "pictures_total": 0,
                    "pictures_generated": 0,
                    "pictures_failed": 0,
                    "pictures_reason": "",
                    "create_time": run.create_time,
                }
                for position, (generation, task, reservation) in enumerate(rows)
            ],
        )
        return self.get(run.id)

    def get(self, run_id: str, *, lock: bool = False) -> Run:
        """The run with its generations. Raises NotFound."""
        statement = select(runs).where(*visible(runs, self._caller), runs.c.id == run_id)
        if lock:
            statement = statement.with_for_update()
        row = self._connection.execute(statement).one_or_none()
        if row is None:
            raise NotFound("run", run_id)
        return run_from_row(row, self._generations([run_id])[run_id])

    def page(self, query: PageQuery, state: str) -> tuple[list[Run], str, int]:
        """One page of runs without generations, the token of the next, and how many there are."""
        statement: Select[Any] = select(runs).where(*visible(runs, self._caller))
        if state:
            statement = statement.where(runs.c.state == state)
        found = paginate(
            self._connection,
            statement,
            query,
            sortable=_SORTABLE,
            default="-created_at",
            tie=runs.c.id,
        )
        counts = self._counts([row.id for row in found.rows])
        listed = [run_from_row(row, (), counts.get(row.id, {})) for row in found.rows]
        return listed, found.next_token, found.total_size

    def active_task_ids(self, task_ids: Sequence[str]) -> list[str]:
        """Which of the tasks are being written."""
        rows = self._connection.execute(
            select(generations.c.task_id).where(
                generations.c.account_id == self._caller.account_id,
                generations.c.task_id.in_(task_ids),
                generations.c.state.in_(ACTIVE),
            )
        )
        return sorted(row.task_id for row in rows)

    def change_generation(self, generation_id: str, *, only_active: bool, **values: Any) -> bool:
        """Changes one generation; tells whether it was there and (if asked) still active."""
        statement = update(generations).where(
            generations.c.account_id == self._caller.account_id, generations.c.id == generation_id
        )
        if only_active:
            statement = statement.where(generations.c.state.in_(ACTIVE))
        return self._connection.execute(statement.values(**values)).rowcount == 1

    def charge(self, run_id: str, reservation_key: str, charged: int) -> None:
        """Adds credits to the run, and to the generation that the reservation paid for."""
        account = self._caller.account_id
        self._connection.execute(
            update(runs)
            .where(runs.c.account_id == account, runs.c.id == run_id)
            .values(credits_charged=runs.c.credits_charged + charged, revision=runs.c.revision + 1)
        )
        self._connection.execute(
            update(generations)
            .where(
                generations.c.account_id == account,
                generations.c.run_id == run_id,
                generations.c.reservation_key == reservation_key,
            )
            .values(credits=charged)
        )

    def refresh(self, run: Run) -> tuple[Run, bool]:
        """Brings a locked run's state in line with its generations; tells whether it just ended."""
        found = self._generations([run.id])[run.id]
        state = run_state(found)
        if run.state in ENDED or state == run.state:
            return run, False
        now = clock.now()
        ended = state in ENDED
        self._connection.execute(
            update(runs)
            .where(*visible(runs, self._caller), runs.c.id == run.id)
            .values(
                state=state,
                revision=runs.c.revision + 1,
                update_time=now,
                end_time=now if ended else None,
            )
        )
        return self.get(run.id), ended

    def _generations(self, run_ids: Sequence[str]) -> dict[str, tuple[Generation, ...]]:
        rows = self._connection.execute(
            select(generations)
            .where(
                generations.c.account_id == self._caller.account_id,
                generations.c.run_id.in_(run_ids),
            )
            .order_by(generations.c.run_id, generations.c.position)
        ).all()
        return {
            run_id: tuple(generation_from_row(row) for row in rows if row.run_id == run_id)
            for run_id in run_ids
        }

    def _counts(self, run_ids: Sequence[str]) -> dict[str, dict[GenerationState, int]]:
        rows = self._connection.execute(
            select(generations.c.run_id, generations.c.state, func.count().label("rows"))
            .where(
                generations.c.account_id == self._caller.account_id,
                generations.c.run_id.in_(run_ids),
            )
            .group_by(generations.c.run_id, generations.c.state)
        )
        counts: dict[str, dict[GenerationState, int]] = {}
        for row in rows:
            counts.setdefault(row.run_id, {})[GenerationState(row.state)] = row.rows
        return counts


def generation_from_row(row: Row[Any]) -> Generation:
    """A generation from its row."""
    pictures = None
    if row.pictures_state is not None:
        pictures = Pictures(
            state=PictureState(row.pictures_state),
            total=row.pictures_total,
            generated=row.pictures_generated,
            failed=row.pictures_failed,
            reason=row.pictures_reason,
        )
    return Generation(
        id=row.id,
        task_id=row.task_id,
        task_title=row.task_title,
        state=GenerationState(row.state),
        attempt=row.attempt,
        reason=row.reason,
        detail=row.detail,
        content_id=row.content_id,
        reservation_id=row.reservation_id,
        credits=row.credits,
        words_written=row.words_written,
        model=row.model,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        pictures=pictures,
        start_time=row.start_time,
        end_time=row.end_time,
    )


def run_from_row(
    row: Row[Any],
    found: tuple[Generation, ...],
    counts: dict[GenerationState, int] | None = None,
) -> Run:
    """A run from its row and either its generations or their counts."""
    if counts is None:
        counts = {}
        for generation in found:
            counts[generation.state] = counts.get(generation.state, 0) + 1
    return Run(
        id=row.id,
        revision=row.revision,
        site_id=row.site_id,
        sector_id=row.sector_id,
        state=RunState(row.state),
        stop_after=Stage(row.stop_after),
        credits_reserved=row.credits_reserved,
        credits_charged=row.credits_charged,
        create_time=row.create_time,
        update_time=row.update_time,
        end_time=row.end_time,
        counts=counts,
        generations=found,
    )
