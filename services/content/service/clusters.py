"""Clusters: create, get, list."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message

from chassis.caller import Caller
from chassis.database import Database
from chassis.ids import new_id
from chassis.pages import PageQuery
from chassis.replies import Reply
from services.content.domain import Cluster
from services.content.store.clusters import ClusterStore

_M = TypeVar("_M", bound=Message)


class Clusters:
    """Groups of search terms."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        caller: Caller,
        name: str,
        description: str,
        reply: Reply[Cluster, _M],
        *,
        disabled: bool,
    ) -> _M:
        """Creates a cluster. Raises AlreadyExists with the id of the one that has the name."""
        return await self._database.write(
            lambda connection: reply.once(
                connection,
                lambda: ClusterStore(connection, caller).create(
                    new_id(), name, description, disabled=disabled
                ),
            )
        )

    async def get(self, caller: Caller, cluster_id: str) -> Cluster:
        """Raises NotFound."""
        return await self._database.glance(
            lambda connection: ClusterStore(connection, caller).get(cluster_id)
        )

    async def page(
        self, caller: Caller, query: PageQuery, search: str
    ) -> tuple[list[Cluster], str, int]:
        """One page, the token of the next, and how many there are."""
        return await self._database.glance(
            lambda connection: ClusterStore(connection, caller).page(query, search)
        )
