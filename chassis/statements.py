"""Statements that both databases have, but spell in their own dialects."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_if_absent(connection: Connection, table: Table, **values: Any) -> bool:
    """Inserts a row unless a unique key is in the way; tells whether it did.

    On PostgreSQL this waits for a concurrent transaction that holds the same key.
    """
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    result = connection.execute(insert(table).values(**values).on_conflict_do_nothing())
    return result.rowcount == 1
