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

from chassis.settings import PORT_MAX

_T = TypeVar("_T")
_OPTIONS = {"sqlite": frozenset[str](), "postgresql": frozenset({"host", "port", "ssl", "sslmode"})}
"""What may stand behind the `?` of a URL; drivers fail on all else, late and in their own words."""


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
    """`sqlite` or `postgresql`. Raises ValueError for what cannot be opened, without the URL."""
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("this is not the URL of a database") from None
    backend = parts.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ValueError(f"unsupported database: {backend}")
    if parts.port is not None and not 0 < parts.port <= PORT_MAX:
        raise ValueError(f"there is no port {parts.port}")
    unknown = sorted(parts.query.keys() - _OPTIONS[backend])
    if unknown:
        raise ValueError(f"unknown option: {unknown[0]}")
    return backend


def in_short(error: BaseException) -> str:
    """The first line of the driver's own words, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def open_database(url: str) -> Database:
    """Opens `sqlite:////path.db` or `postgresql://…`. Raises ValueError for anything else."""
    if backend_of(url) == "sqlite":
        from chassis.sqlite import SqliteDatabase

        return SqliteDatabase(url)
    # Imported here: the asynchronous engine costs 0.3 s that SQLite never needs.
    from chassis.postgres import PostgresDatabase

    return PostgresDatabase(url)
