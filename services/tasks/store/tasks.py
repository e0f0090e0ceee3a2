"""Rows of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Update,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from chassis import clock
from chassis.caller import Caller
from chassis.columns import UtcDateTime
from chassis.errors import NotFound
from chassis.pages import KEPT_MAX, PageQuery, paginate
from chassis.statements import among, values_for
from chassis.tenancy import Sight, owned, seen, tenant_of, visible
from services.tasks.domain import Brief, Task, TaskStatus
from services.tasks.schema import generations, tasks

_SORTABLE = {
    "title": tasks.c.title,
    "created_at": tasks.c.create_time,
    "status": tasks.c.status,
}


class TaskStore:
    """Tasks that one caller may see, over one connection."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def create(self, task_id: str, brief: Brief, cluster_name: str) -> Task:
        """Inserts a queued task in the caller's site and sector."""
        now = clock.now()
        row = {
            **owned(self._caller),
            **asdict(brief),
            "id": task_id,
            "revision": 1,
            "sector_name": self._caller.sector_name,
            "cluster_name": cluster_name,
            "status": TaskStatus.QUEUED,
            "content_id": "",
            "generation_id": "",
            "create_time": now,
            "update_time": now,
        }
        self._connection.execute(insert(tasks), row)
        shown = {name: row[name] for name in Task._fields if name in row}
        return Task(**shown, generation_run_id="", generation_state="", generation_reason="")

    def get(self, task_id: str) -> Task:
        """Raises NotFound, also for a deleted task."""
        row = self._connection.execute(
            _by_id(Sight.of(self._caller)), {**tenant_of(self._caller), "task_id": task_id}
        ).one_or_none()
        if row is None:
            raise NotFound("task", task_id)
        return _task(row)

    def get_all(self, task_ids: Sequence[str], *, lock: bool = False) -> list[Task]:
        """The tasks in the order of the ids. Raises NotFound that names every missing one."""
        statement = self._select().where(tasks.c.id.in_(task_ids))
        if lock:
            # Locked in one order, so that two runs over the same tasks wait and do not deadlock.
            statement = statement.order_by(tasks.c.id).with_for_update(of=tasks)
        found = {row.id: _task(row) for row in self._connection.execute(statement)}
        missing = [task_id for task_id in task_ids if task_id not in found]
        if missing:
            raise NotFound("task", *missing)
        return [found[task_id] for task_id in task_ids]

    def page(
        self, query: PageQuery, filters: Mapping[str, str], search: str
    ) -> tuple[list[Task], str, int]:
        """One page of tasks, the token of the next, and how many there are."""
        wanted = {name: value for name, value in filters.items() if value}
        statement = _listed(Sight.of(self._caller), tuple(sorted(wanted)))
        if search:
            statement = statement.where(
                or_(
                    tasks.c.title.icontains(search, autoescape=True),
                    tasks.c.keywords.icontains(search, autoescape=True),
                )
            )
        found = paginate(
            self._connection,
            statement,
            query,
            sortable=_SORTABLE,
            default="-created_at",
            tie=tasks.c.id,
            values={**tenant_of(self._caller), **wanted},
            kept=not search,
        )
        return [_task(row) for row in found.rows], found.next_token, found.total_size

    def set_status(self, task_ids: Sequence[str], status: TaskStatus) -> int:
        """Sets the status of all the tasks; how many there are. Raises NotFound for the missing.

        Two calls over the same tasks may deadlock on PostgreSQL, which ends and repeats one.
        """
        wanted = {**tenant_of(self._caller), "ids": values_for(self._connection, task_ids)}
        changed = self._connection.execute(
            _status_of_all(Sight.of(self._caller)),
            {**wanted, "new_status": status, "now": clock.now()},
        ).rowcount
        if changed < len(set(task_ids)):
            found = self._connection.execute(_ids_among(Sight.of(self._caller)), wanted).scalars()
            raise NotFound("task", *sorted(set(task_ids).difference(found)))
        return changed

    def start_generation(self, task_id: str, generation_id: str) -> None:
        """Notes which generation writes the task now."""
        self._change(task_id, generation_id=generation_id)

    def complete(self, task_id: str, content_id: str) -> None:
        """Notes the content; a task that was deleted meanwhile stays as it is."""
        self._change(task_id, status=TaskStatus.COMPLETED, content_id=content_id)

    def _change(self, task_id: str, **values: Any) -> None:
        self._connection.execute(
            update(tasks)
            .where(*self._live(), tasks.c.id == task_id)
            .values(revision=tasks.c.revision + 1, update_time=clock.now(), **values)
        )

    def _live(self) -> list[Any]:
        return [*visible(tasks, self._caller), tasks.c.delete_time.is_(None)]

    def _select(self) -> Select[Any]:
        return _SELECT.where(*self._live())


_OF_GENERATION = {
    f"generation_{name}": func.coalesce(generations.c[name], "").label(f"generation_{name}")
    for name in ("run_id", "state", "reason")
}
# The columns of a task in the order of its fields, so that a row is a task at once.
_SELECT: Select[Any] = select(
    *(_OF_GENERATION[name] if name in _OF_GENERATION else tasks.c[name] for name in Task._fields)
).select_from(
    tasks.outerjoin(
        generations,
        (generations.c.account_id == tasks.c.account_id)
        & (generations.c.id == tasks.c.generation_id),
    )
)


@cache
def _by_id(sight: Sight) -> Select[Any]:
    """Built once for each sight: building it costs more than running it."""
    return _SELECT.where(
        *seen(tasks, sight), tasks.c.delete_time.is_(None), tasks.c.id == bindparam("task_id")
    )


@cache
def _live_among(sight: Sight) -> tuple[ColumnElement[bool], ...]:
    return (
        *seen(tasks, sight),
        tasks.c.delete_time.is_(None),
        among(tasks.c.id, "ids"),
    )


@cache
def _ids_among(sight: Sight) -> Select[Any]:
    return select(tasks.c.id).where(*_live_among(sight))


@cache
def _status_of_all(sight: Sight) -> Update:
    return (
        update(tasks)
        .where(*_live_among(sight))
        .values(
            status=bindparam("new_status"),
            revision=tasks.c.revision + 1,
            update_time=bindparam("now", type_=UtcDateTime()),
        )
    )


@lru_cache(maxsize=KEPT_MAX)
def _listed(sight: Sight, filters: tuple[str, ...]) -> Select[Any]:
    """Live tasks, filtered by these columns; each is a parameter of its own name."""
    return _SELECT.where(
        *seen(tasks, sight),
        tasks.c.delete_time.is_(None),
        *(tasks.c[name] == bindparam(name) for name in filters),
    )


def _task(row: Row[Any]) -> Task:
    # A page's total may stand behind the task.
    return Task._make(row[: len(Task._fields)])
