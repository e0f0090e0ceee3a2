"""One way to a database for SQLite and PostgreSQL.

A transaction is a plain function over a `Connection`. It may run more than once (group
commit, serialization failures), so it must not touch anything but its connection; it can
not wait for the network. Commits happen here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

_T = TypeVar("_T")


class Database(Protocol):
    """Runs transactions: one write at a time on SQLite, many on PostgreSQL."""

    dialect: str

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Runs `work` in one write transaction and commits it, or raises and changes nothing."""
        ...

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """Runs `work` on a consistent snapshot; it must not write."""
        ...

    async def glance(self, work: Callable[[Connection], _T]) -> _T:
        """Runs `work`, whose statements need not agree: cheaper than `read`.

        It must not write: there is no transaction that would take it back.
        """
        ...

    async def ping(self) -> None:
        """Returns when the database answers. Waits for nobody's work; may raise anything."""
        ...

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Calls `callback` on the event loop after every committed write."""
        ...

    async def close(self) -> None:
        """Finishes running transactions and closes all connections."""
        ...


def backend_of(url: str) -> str:
    """`sqlite` or `postgresql`. Raises ValueError for anything else, without showing the URL."""
    try:
        backend = make_url(url).get_backend_name()
    except (ArgumentError, ValueError):
        raise ValueError("this is not the URL of a database") from None
    if backend not in ("sqlite", "postgresql"):
        raise ValueError(f"unsupported database: {backend}")
    return backend


def open_database(url: str) -> Database:
    """Opens `sqlite:////path.db` or `postgresql://…`. Raises ValueError for anything else."""
    if backend_of(url) == "sqlite":
        from chassis.sqlite import SqliteDatabase

        return SqliteDatabase(url)
    # Imported here: the asynchronous engine costs 0.3 s that SQLite never needs.
    from chassis.postgres import PostgresDatabase

    return PostgresDatabase(url)
