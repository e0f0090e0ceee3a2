"""All that a call could have left behind: every row of every database, every event."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter

import nats

from chassis.bus import STREAM
from standalone.prepare import PACKAGES

DEADLINE_S = 15.0
POLL_S = 0.05
VOLATILE = {"api_keys": {"last_use_time"}}
"""Columns that are written beside the calls that use a key."""
TRANSIENT = {"inbox", "outbox", "alembic_version"}
"""Tables on the way of an event, which is looked for on the stream."""


class Effects:
    """Looks at the databases and the stream of a running Writer on SQLite."""

    def __init__(self, stack) -> None:
        self._files = {name: stack.place.directory / f"{name}.db" for name in PACKAGES}
        self._nats_url = stack.nats.url

    async def now(self, *account_ids: str) -> Counter:
        """Rows of these accounts and of no account, and events of these accounts, when all rests.

        Other tests' accounts may still be at work.
        """
        deadline = time.monotonic() + DEADLINE_S
        found = None
        connection = await nats.connect(self._nats_url)
        try:
            while True:
                before, found = found, self._rows(account_ids)
                found.update(await self._events(connection, account_ids))
                if found == before and not self._waiting():
                    return found
                assert time.monotonic() < deadline, "the databases do not come to rest"
                await asyncio.sleep(POLL_S)
        finally:
            await connection.close()

    async def _events(self, connection, account_ids) -> Counter:
        state = (await connection.jetstream().stream_info(STREAM, subjects_filter=">")).state
        return Counter(
            {
                ("stream", subject): count
                for subject, count in (state.subjects or {}).items()
                if subject.split(".")[1] in account_ids
            }
        )

    def _rows(self, account_ids) -> Counter:
        rows: Counter = Counter()
        for name, file in self._files.items():
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
                for table in _tables(database):
                    rows.update(_rows_of(database, name, table, account_ids))
            database.close()
        return rows

    def _waiting(self) -> int:
        total = 0
        for file in self._files.values():
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
                total += database.execute("SELECT count(*) FROM outbox").fetchone()[0]
            database.close()
        return total


def difference(before: Counter, after: Counter) -> list[str]:
    """What has come and what has gone, in words."""
    gone = [f"- {row}" for row in (before - after)]
    return gone + [f"+ {row}" for row in (after - before)]


def _tables(database) -> list[str]:
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [name for (name,) in found if name not in TRANSIENT and not name.startswith("sqlite_")]


def _rows_of(database, name, table, account_ids):
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    kept = [column for column in columns if column not in VOLATILE.get(table, set())]
    owner = "id" if table == "accounts" else "account_id" if "account_id" in columns else ""
    statement = f"SELECT {', '.join(kept)} FROM {table}"
    if owner:
        marks = ", ".join("?" for _ in account_ids)
        statement += f" WHERE {owner} IN ({marks})"
    for row in database.execute(statement, account_ids if owner else ()):
        yield name, table, *row
