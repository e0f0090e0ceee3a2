"""Prices and plans: the same for every account."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, select

from chassis import ids
from chassis.pages import COUNTED_MAX, Page, PageQuery, paginate
from chassis.statements import insert_if_absent
from services.billing import schema
from services.billing.domain import Operation, Plan, Price, Unit
from services.billing.store.moment import Moment

_prices = schema.prices


class CatalogueStore:
    """Reads what operations cost and which plans there are; adds versions of prices."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def prices_in_force(self) -> list[Price]:
        """The newest version of each price."""
        return [price_from_row(row) for row in self._connection.execute(_in_force())]

    def prices_now(
        self, operations: Collection[Operation], moment: Moment
    ) -> tuple[list[Price], datetime | None]:
        """Prices in force of these operations and, in the same round trip, the present time.

        The time is None when none of the operations has a price.
        """
        names = sorted({operation.value for operation in operations})
        rows = self._connection.execute(
            _in_force().where(_prices.c.operation.in_(names)).add_columns(moment().label("moment"))
        ).all()
        return [price_from_row(row) for row in rows], rows[0].moment if rows else None

    def price_in_force(self, operation: Operation, variant: str) -> Price | None:
        """The newest version of one price, or None."""
        row = self._connection.execute(
            _in_force().where(_prices.c.operation == operation, _prices.c.variant == variant)
        ).one_or_none()
        return None if row is None else price_from_row(row)

    def add_price(self, price: Price, principal: str) -> bool:
        """Adds a version; false when somebody else has just added the same."""
        return insert_if_absent(
            self._connection,
            _prices,
            id=ids.new_id(),
            operation=price.operation,
            variant=price.variant,
            unit=price.unit,
            credits=price.credits,
            version=price.version,
            reason=price.reason,
            principal=principal,
            create_time=price.create_time,
        )

    def versions(self, query: PageQuery, operation: Operation | None) -> Page:
        """All versions of prices, newest first by default."""
        statement = select(_prices)
        if operation is not None:
            statement = statement.where(_prices.c.operation == operation)
        return paginate(
            self._connection,
            statement,
            query,
            sortable={"created_at": _prices.c.create_time},
            default="-created_at",
            tie=_prices.c.id,
            count_max=COUNTED_MAX,
        )

    def plans(self) -> list[Plan]:
        """All plans, the smallest first."""
        statement = select(schema.plans).order_by(schema.plans.c.credits, schema.plans.c.name)
        return [Plan(row.name, row.credits) for row in self._connection.execute(statement)]

    def plan(self, name: str) -> Plan | None:
        """One plan, or None."""
        row = self._connection.execute(
            select(schema.plans).where(schema.plans.c.name == name)
        ).one_or_none()
        return Plan(row.name, row.credits) if row else None


def _in_force() -> Select[Any]:
    newer = _prices.alias("newer")
    return (
        select(_prices)
        .where(
            ~exists().where(
                newer.c.operation == _prices.c.operation,
                newer.c.variant == _prices.c.variant,
                newer.c.version > _prices.c.version,
            )
        )
        .order_by(_prices.c.operation, _prices.c.variant)
    )


def price_from_row(row: Row[Any]) -> Price:
    """A row of the table as the domain knows it."""
    return Price(
        operation=Operation(row.operation),
        variant=row.variant,
        unit=Unit(row.unit),
        credits=row.credits,
        version=row.version,
        create_time=row.create_time,
        reason=row.reason,
    )
