"""The databases of a Writer, read from outside: rows that no caller may see included."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
from support import postgresql

from standalone.plan import Plan

Rows = list[tuple[Any, ...]]


class SqliteFiles:
    """The files that `./writer up` makes in its data directory."""

    prepare = (sys.executable, "-P", "-m", "standalone.prepare")

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def moved(self, plan: Plan) -> Plan:
        """The plan as it is."""
        return plan

    def run(self, name: str, statement: str, *values: Any) -> Rows:
        """Rows of one statement, which is committed; values stand as `?` in it."""
        path = self._directory / f"{name}.db"
        with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
            return connection.execute(statement, values).fetchall()


class PostgresDatabases:
    """A database for each service; see support.postgresql."""

    prepare = postgresql.ONLY_KEYS

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls

    def moved(self, plan: Plan) -> Plan:
        """The plan on these databases."""
        return postgresql.moved(plan, self._urls)

    def run(self, name: str, statement: str, *values: Any) -> Rows:
        """As SqliteFiles.run."""
        for number in range(1, len(values) + 1):
            statement = statement.replace("?", f"${number}", 1)

        async def ask() -> Rows:
            connection = await asyncpg.connect(self._urls[name])
            try:
                return [tuple(row) for row in await connection.fetch(statement, *values)]
            finally:
                await connection.close()

        return asyncio.run(ask())
