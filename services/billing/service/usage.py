"""What credits were used for: lists and sums of the same records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import InvalidFields, Violation
from chassis.pages import Page, PageQuery
from services.billing.domain import UsageDimension
from services.billing.store import DatabaseTime, Moment, UsageFilter, UsageStore, read

RANGE_DEFAULT = timedelta(days=30)
RANGE_MAX = timedelta(days=92)
"""A quarter: a summary reads every record of its range."""
ROWS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Summary:
    """Sums by the dimensions asked for, all together, and the range they are of."""

    rows: Sequence[Row[Any]]
    total: Row[Any]
    start_time: datetime
    end_time: datetime


class Usage:
    """Lists AI calls and adds them up."""

    def __init__(self, database: Database, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._moment = moment

    async def page(self, caller: Caller, query: PageQuery, wanted: UsageFilter) -> Page:
        """The account's AI calls."""

        def work(connection: Connection) -> Page:
            return UsageStore(connection, caller).page(query, wanted)

        return await self._database.read(work)

    async def summarize(
        self, caller: Caller, dimensions: Sequence[UsageDimension], wanted: UsageFilter
    ) -> Summary:
        """Sums of what `page` lists. Raises InvalidFields for too long a range or too many rows."""

        def work(connection: Connection) -> Summary:
            end_time = wanted.end_time or read(connection, self._moment)
            start_time = wanted.start_time or end_time - RANGE_DEFAULT
            _check_range(start_time, end_time)
            bounded = replace(wanted, start_time=start_time, end_time=end_time)
            store = UsageStore(connection, caller)
            rows = store.sums(dimensions or [UsageDimension.DAY], bounded, ROWS_MAX + 1)
            if len(rows) > ROWS_MAX:
                raise InvalidFields(
                    Violation("group_by", f"makes more than {ROWS_MAX} rows; ask for less")
                )
            [total] = store.sums([], bounded, 1)
            return Summary(rows, total, start_time, end_time)

        return await self._database.read(work)


def _check_range(start_time: datetime, end_time: datetime) -> None:
    if start_time >= end_time:
        raise InvalidFields(Violation("end_time", "must be after start_time"))
    if end_time - start_time > RANGE_MAX:
        raise InvalidFields(
            Violation("start_time", f"must be at most {RANGE_MAX.days} days before end_time")
        )
