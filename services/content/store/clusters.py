"""Rows of clusters."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select

from chassis import clock
from chassis.caller import Caller
from chassis.errors import AlreadyExists, NotFound
from chassis.pages import PageQuery, paginate
from chassis.statements import insert_if_absent
from chassis.tenancy import Sight, owned, seen, tenant_of, visible
from services.content.domain import Cluster
from services.content.schema import clusters

_SORTABLE = {"name": clusters.c.name, "created_at": clusters.c.create_time}


class ClusterStore:
    """Clusters that one caller may see, over one connection."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def create(self, cluster_id: str, name: str, description: str, *, disabled: bool) -> Cluster:
        """Inserts a cluster. Raises AlreadyExists with the id of the one that has the name."""
        now = clock.now()
        created = insert_if_absent(
            self._connection,
            clusters,
            **owned(self._caller),
            id=cluster_id,
            revision=1,
            name=name,
            description=description,
            status="new",
            disabled=disabled,
            create_time=now,
            update_time=now,
        )
        if not created:
            existing = self._connection.execute(
                select(clusters.c.id).where(
                    *visible(clusters, self._caller), clusters.c.name == name
                )
            ).scalar_one()
            raise AlreadyExists("cluster", existing)
        return self.get(cluster_id)

    def get(self, cluster_id: str) -> Cluster:
        """Raises NotFound."""
        row = self._connection.execute(
            _by_id(Sight.of(self._caller)), {**tenant_of(self._caller), "cluster_id": cluster_id}
        ).one_or_none()
        if row is None:
            raise NotFound("cluster", cluster_id)
        return cluster_from_row(row)

    def name_of(self, cluster_id: str) -> str:
        """Name of a cluster; empty when it is gone."""
        found = self._connection.execute(
            select(clusters.c.name).where(
                *visible(clusters, self._caller), clusters.c.id == cluster_id
            )
        ).scalar_one_or_none()
        return found or ""

    def page(self, query: PageQuery, search: str) -> tuple[list[Cluster], str, int]:
        """One page of clusters, the token of the next, and how many there are."""
        statement = select(clusters).where(*visible(clusters, self._caller))
        if search:
            statement = statement.where(clusters.c.name.icontains(search, autoescape=True))
        found = paginate(
            self._connection,
            statement,
            query,
            sortable=_SORTABLE,
            default="-created_at",
            tie=clusters.c.id,
        )
        return [cluster_from_row(row) for row in found.rows], found.next_token, found.total_size


@cache
def _by_id(sight: Sight) -> Select[Any]:
    return select(clusters).where(*seen(clusters, sight), clusters.c.id == bindparam("cluster_id"))


def cluster_from_row(row: Row[Any]) -> Cluster:
    """A cluster from its row."""
    return Cluster(
        id=row.id,
        revision=row.revision,
        site_id=row.site_id,
        sector_id=row.sector_id,
        name=row.name,
        description=row.description,
        status=row.status,
        disabled=row.disabled,
        create_time=row.create_time,
        update_time=row.update_time,
    )
