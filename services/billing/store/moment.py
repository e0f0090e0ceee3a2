"""The database's clock: what expires does so by it, so that replicas with other clocks agree.

A `Moment` makes an SQL expression for the present time. Tests hand the use cases one of their
own, which yields a literal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from chassis.columns import UtcDateTime

Moment = Callable[[], ColumnElement[datetime]]


class DatabaseTime(FunctionElement[datetime]):
    """Now, to the millisecond, in the form of `UtcDateTime`."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(DatabaseTime, "sqlite")
def _sqlite(_element: DatabaseTime, _compiler: Any, **_kwargs: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


@compiles(DatabaseTime, "postgresql")
def _postgresql(_element: DatabaseTime, _compiler: Any, **_kwargs: Any) -> str:
    # Not now(): that is when the transaction began, and it may have waited for a lock since.
    return "date_trunc('milliseconds', clock_timestamp())"


def read(connection: Connection, moment: Moment) -> datetime:
    """The present time. A statement of its own; where there is another to ride on, better that."""
    return connection.execute(select(moment())).scalar_one()
