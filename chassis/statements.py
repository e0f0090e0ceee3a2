"""Statements that both databases have, but spell in their own dialects."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

_T = TypeVar("_T")


def insert_if_absent(connection: Connection, table: Table, **values: Any) -> bool:
    """Inserts a row unless a unique key is in the way; tells whether it did.

    On PostgreSQL this waits for a concurrent transaction that holds the same key.
    """
    result = connection.execute(_if_absent(connection.dialect.name, table), values)
    return result.rowcount == 1


def insert_all_if_absent(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Inserts rows, each unless a unique key is in the way."""
    connection.execute(_if_absent(connection.dialect.name, table), rows)


@functools.cache
def _if_absent(dialect: str, table: Table) -> Executable:
    # Made once: a statement that is made anew is also compiled, or at least looked up, anew.
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()


def padded(values: Collection[_T]) -> list[_T]:
    """Values for an IN, some of them repeated, so that few lengths and few statements exist.

    A database prepares a statement anew for each number of values; one value more or less
    must not cost that.
    """
    found = list(values)
    length = 1 << (len(found) - 1).bit_length() if found else 0
    return found + found[-1:] * (length - len(found))
