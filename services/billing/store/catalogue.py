"""Prices and plans: the same for every account."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, exists, select

from services.billing import schema
from services.billing.domain import Operation, Plan, Price, Unit


class CatalogueStore:
    """Reads what operations cost and which plans there are."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def prices_in_force(self, operations: Iterable[Operation] | None = None) -> list[Price]:
        """The newest version of each price, of these operations or of all."""
        prices, newer = schema.prices, schema.prices.alias("newer")
        statement = (
            select(prices)
            .where(
                ~exists().where(
                    newer.c.operation == prices.c.operation,
                    newer.c.variant == prices.c.variant,
                    newer.c.version > prices.c.version,
                )
            )
            .order_by(prices.c.operation, prices.c.variant)
        )
        if operations is not None:
            names = sorted({operation.value for operation in operations})
            statement = statement.where(prices.c.operation.in_(names))
        return [
            Price(
                operation=Operation(row.operation),
                variant=row.variant,
                unit=Unit(row.unit),
                credits=row.credits,
                version=row.version,
                create_time=row.create_time,
            )
            for row in self._connection.execute(statement)
        ]

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
