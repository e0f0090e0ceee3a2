"""One record for each AI call, at most one for each reservation; lists and sums of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, String, func, select, type_coerce

from chassis import ids
from chassis.caller import Caller
from chassis.pages import COUNTED_MAX, Page, PageQuery, paginate
from chassis.statements import insert_all_if_absent
from chassis.tenancy import visible
from services.billing import schema
from services.billing.domain import (
    KEY_CHARS,
    MODEL_CHARS,
    Operation,
    UsageDimension,
)
from services.billing.store.pending import Usage

_table = schema.usage_records


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFilter:
    """Which AI calls; what is empty does not narrow."""

    operation: Operation | None = None
    model: str = ""
    run_id: str = ""
    api_key_id: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL."""
        columns = _table.c
        found: list[ColumnElement[bool]] = []
        if self.operation is not None:
            found.append(columns.operation == self.operation)
        for name in ("model", "run_id", "api_key_id"):
            value = getattr(self, name)
            if value:
                found.append(columns[name] == value)
        if self.start_time is not None:
            found.append(columns.create_time >= self.start_time)
        if self.end_time is not None:
            found.append(columns.create_time < self.end_time)
        return found


class UsageStore:
    """Lists and adds up AI calls of one account."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def page(self, query: PageQuery, wanted: UsageFilter) -> Page:
        """AI calls of the sites that the caller may see, newest first by default."""
        statement = select(_table).where(*visible(_table, self._caller), *wanted.conditions())
        return paginate(
            self._connection,
            statement,
            query,
            sortable={"created_at": _table.c.create_time},
            default="-created_at",
            tie=_table.c.id,
            count_max=COUNTED_MAX,
        )

    def sums(
        self, dimensions: Sequence[UsageDimension], wanted: UsageFilter, limit: int
    ) -> list[Row[Any]]:
        """Sums of the calls that `page` lists, for each combination of the dimensions."""
        keys = [self._key(each).label(each.value) for each in dimensions]
        columns = _table.c
        statement = (
            select(
                *keys,
                func.count().label("calls"),
                *(
                    func.coalesce(func.sum(columns[name]), 0).label(name)
                    for name in (
                        "credits",
                        "prompt_tokens",
                        "completion_tokens",
                        "provider_cost_micro_usd",
                    )
                ),
            )
            .where(*visible(_table, self._caller), *wanted.conditions())
            .group_by(*keys)
            .order_by(*keys)
            .limit(limit)
        )
        return list(self._connection.execute(statement))

    def _key(self, dimension: UsageDimension) -> ColumnElement[Any]:
        columns = _table.c
        if dimension is UsageDimension.DAY:
            if self._connection.dialect.name == "sqlite":
                return type_coerce(func.substr(columns.create_time, 1, 10), String)
            return func.to_char(func.timezone("UTC", columns.create_time), "YYYY-MM-DD")
        return {
            UsageDimension.SITE: columns.site_id,
            UsageDimension.OPERATION: columns.operation,
            UsageDimension.MODEL: columns.model,
        }[dimension]


def insert_all(connection: Connection, noted: Sequence[Usage]) -> None:
    """Notes the calls behind reservations, each unless one is noted already."""
    if noted:
        insert_all_if_absent(connection, _table, [_row(each) for each in noted])


def _row(usage: Usage) -> dict[str, Any]:
    reservation, call = usage.reservation, usage.call
    return {
        "id": ids.new_id(),
        "account_id": reservation.account_id,
        "site_id": reservation.site_id,
        "sector_id": reservation.sector_id,
        "run_id": reservation.run_id,
        "api_key_id": reservation.api_key_id,
        "request_id": reservation.request_id,
        "operation": reservation.operation,
        "credits": usage.credits,
        # What comes from a provider has no length that we could rely on.
        "model": call.model[:MODEL_CHARS],
        "prompt_tokens": max(0, call.prompt_tokens),
        "completion_tokens": max(0, call.completion_tokens),
        "provider_cost_micro_usd": call.provider_cost_micro_usd,
        "object_id": call.object_id[:KEY_CHARS],
        "reservation_id": reservation.id,
        "transaction_id": usage.transaction_id,
        "create_time": usage.time,
    }
