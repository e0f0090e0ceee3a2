"""What operations cost, and the plans."""

from __future__ import annotations

from sqlalchemy import Connection

from chassis.database import Database
from services.billing.domain import Plan, Price
from services.billing.store import CatalogueStore


class Catalogue:
    """Lists prices and plans."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prices(self) -> list[Price]:
        """The prices in force."""

        def work(connection: Connection) -> list[Price]:
            return CatalogueStore(connection).prices_in_force()

        return await self._database.read(work)

    async def plans(self) -> list[Plan]:
        """The plans, the smallest first."""

        def work(connection: Connection) -> list[Plan]:
            return CatalogueStore(connection).plans()

        return await self._database.read(work)
