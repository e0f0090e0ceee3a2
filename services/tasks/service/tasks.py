"""Tasks: create, get, list, and the status of many by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from google.protobuf.message import Message

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import Kind, Refusal
from chassis.ids import new_id
from chassis.pages import PageQuery
from chassis.replies import Reply
from services.tasks.domain import Brief, Task, TaskStatus
from services.tasks.errors import UnknownReference
from services.tasks.peers import Classification
from services.tasks.store.tasks import TaskStore

_M = TypeVar("_M", bound=Message)


class Tasks:
    """What is to be written."""

    def __init__(self, database: Database, classification: Classification) -> None:
        self._database = database
        self._classification = classification

    async def create(self, caller: Caller, brief: Brief, reply: Reply[Task, _M]) -> _M:
        """Creates a task. Raises UnknownReference for a foreign or missing cluster or term."""
        if reply.request_id:
            before = await self._database.glance(reply.stored)
            if before is not None:
                return before
        cluster_name = await self._check_references(caller, brief)
        return await self._database.write(
            lambda connection: reply.once(
                connection,
                lambda: TaskStore(connection, caller).create(new_id(), brief, cluster_name),
            )
        )

    async def get(self, caller: Caller, task_id: str) -> Task:
        """Raises NotFound."""
        return await self._database.glance(
            lambda connection: TaskStore(connection, caller).get(task_id)
        )

    async def bulk_update(
        self, caller: Caller, task_ids: Sequence[str], status: TaskStatus, reply: Reply[int, _M]
    ) -> _M:
        """Sets the status of all tasks. Raises NotFound naming the missing; then none changed."""
        return await self._database.write(
            lambda connection: reply.once(
                connection, lambda: TaskStore(connection, caller).set_status(task_ids, status)
            )
        )

    async def page(
        self, caller: Caller, query: PageQuery, filters: Mapping[str, str], search: str
    ) -> tuple[list[Task], str, int]:
        """One page, the token of the next, and how many there are."""
        return await self._database.glance(
            lambda connection: TaskStore(connection, caller).page(query, filters, search)
        )

    async def _check_references(self, caller: Caller, brief: Brief) -> str:
        """Name of the cluster, when all that the brief refers to exists."""
        with _missing_is("cluster_id", "cluster"):
            cluster_name = await self._classification.cluster_name(caller, brief.cluster_id)
        if brief.taxonomy_term_id:
            with _missing_is("taxonomy_term_id", "taxonomy term"):
                await self._classification.check_term(caller, brief.taxonomy_term_id)
        return cluster_name


@contextmanager
def _missing_is(field: str, what: str) -> Iterator[None]:
    """Lays the fault at the field that names what the content service does not find."""
    try:
        yield
    except Refusal as refusal:
        if refusal.kind is not Kind.NOT_FOUND:
            raise
        raise UnknownReference(f"task.{field}", what) from refusal
