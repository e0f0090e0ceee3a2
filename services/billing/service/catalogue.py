"""What operations cost, and the plans."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from chassis import etags
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import EtagMismatch, InvalidFields, Violation
from chassis.pages import Page, PageQuery
from services.billing.domain import Operation, Plan, Price, Unit
from services.billing.prices import same_measure, variant_of
from services.billing.store import CatalogueStore, DatabaseTime, Moment, actor_of, read


class Catalogue:
    """Lists prices and plans, and changes prices for what is to come."""

    def __init__(self, database: Database, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._moment = moment

    async def prices(self) -> list[Price]:
        """The prices in force."""

        def work(connection: Connection) -> list[Price]:
            return CatalogueStore(connection).prices_in_force()

        return await self._database.read(work)

    async def versions(self, query: PageQuery, operation: Operation | None) -> Page:
        """All versions of prices."""

        def work(connection: Connection) -> Page:
            return CatalogueStore(connection).versions(query, operation)

        return await self._database.read(work)

    async def update(
        self,
        caller: Caller,
        operation: Operation,
        variant: str,
        unit_credits: int | None = None,
        *,
        unit: Unit | None = None,
        reason: str = "",
        etag: str = "",
    ) -> Price:
        """Writes another version, unless this is the price in force; None stays as it is.

        Raises InvalidFields for what has no price or another measure, and EtagMismatch.
        """
        variant = variant_of(operation, variant)

        def work(connection: Connection) -> Price:
            store = CatalogueStore(connection)
            current = store.price_in_force(operation, variant)
            if current is None:
                raise InvalidFields(Violation("variant", "has no price"))
            if unit is not None and not same_measure(current.unit, unit):
                raise InvalidFields(Violation("unit", f"cannot replace {current.unit}"))
            etags.require(etag, "cost", current.version, current.guarded)
            wanted = replace(
                current,
                unit=unit or current.unit,
                credits=current.credits if unit_credits is None else unit_credits,
                version=current.version + 1,
                create_time=read(connection, self._moment),
                reason=reason,
            )
            if (wanted.unit, wanted.credits) == (current.unit, current.credits):
                return current
            if not store.add_price(wanted, actor_of(caller)):
                # Somebody else was faster; theirs is what this caller has not read.
                raise EtagMismatch("cost", str(wanted.version))
            return wanted

        return await self._database.write(work)

    async def plans(self) -> list[Plan]:
        """The plans, the smallest first."""

        def work(connection: Connection) -> list[Plan]:
            return CatalogueStore(connection).plans()

        return await self._database.read(work)
