"""PostgreSQL; the same plain transaction functions as on SQLite."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from chassis.connections import Connections, Lane
from chassis.errors import Unavailable

_T = TypeVar("_T")
log = logging.getLogger(__name__)

READERS_MAX = 4
WRITERS_MAX = 8
"""Connections apart from each other: who waits for a locked row keeps no reader waiting. More to
write, because each locked row keeps one."""
CONNECTIONS_MAX = READERS_MAX + WRITERS_MAX + 1
"""Of one process, with the one that only asks whether the database answers."""
ATTEMPTS_MAX = 5
"""Runs of one transaction when the database asks to try again."""
LOCK_TIMEOUT_STATE = "55P03"
RETRY_STATES = frozenset({"40001", "40P01"})
"""SQLSTATE of a serialization failure and of a deadlock."""
GIVEN_UP_STATES = ("53", "57014")
"""How the SQLSTATE begins where the server lacks memory or room, or was told to end a statement."""


class PostgresDatabase:
    """One PostgreSQL database."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        self._connections = Connections(url)
        self._writers = self._connections.lane(WRITERS_MAX)
        self._readers = self._connections.lane(READERS_MAX)
        # Of its own, for one question: whether it answers must not depend on who waits for what.
        self._pings = self._connections.lane(1)
        self._callbacks: list[Callable[[], None]] = []

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Runs `work` in one transaction; again, a bounded number of times, if it lost a race.

        Raises Unavailable where that did not help: for a lock that somebody keeps, a connection
        that broke, or silence. If that was during the commit, whether it was kept is not known.
        """
        for attempt in range(1, ATTEMPTS_MAX + 1):
            committing = False

            def transact(connection: Connection) -> _T:
                nonlocal committing
                with connection.begin() as transaction:
                    result = work(connection)
                    committing = True
                    transaction.commit()
                return result

            try:
                result = await self._connections.run(self._writers, transact)
            except DBAPIError as error:
                # A connection that broke before the commit was sent has changed nothing.
                broken = error.connection_invalidated and not committing
                again = broken or _state(error) in RETRY_STATES
                if self._connections.is_closed or attempt == ATTEMPTS_MAX or not again:
                    _refuse(error)
                    raise
                log.info("transaction repeated after SQLSTATE %s", _state(error))
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311  jitter
            else:
                for callback in self._callbacks:
                    # Not at once: an error in one is no error of the committed write.
                    asyncio.get_running_loop().call_soon(callback)
                return result
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """Runs `work` on one snapshot and rolls back."""
        return await self._look(self._readers, "repeatable_read", work)

    async def glance(self, work: Callable[[Connection], _T]) -> _T:
        """Runs `work` without a transaction: one round trip for each statement."""
        return await self._look(self._readers, "autocommit", work)

    async def _look(self, lane: Lane, level: str, work: Callable[[Connection], _T]) -> _T:
        def isolated(connection: Connection) -> _T:
            return _isolated(level, connection, work)

        try:
            return await self._connections.run(lane, isolated)
        except DBAPIError as error:
            if not error.connection_invalidated:
                _refuse(error)
                raise
        # The lane has dropped what was as old as the connection that died.
        try:
            return await self._connections.run(lane, isolated)
        except DBAPIError as error:
            _refuse(error)
            raise

    async def ping(self) -> None:
        """See Database.ping."""
        await self._look(self._pings, "autocommit", _ask)

    def on_commit(self, callback: Callable[[], None]) -> None:
        """See Database.on_commit."""
        self._callbacks.append(callback)

    async def close(self) -> None:
        """See Connections.close."""
        await self._connections.close()


def _ask(connection: Connection) -> None:
    connection.execute(select(1)).one()


def _refuse(error: DBAPIError) -> None:
    """Raises Unavailable where asking again may help, and returns where it would not."""
    if error.connection_invalidated:
        raise Unavailable("The connection to the database broke.") from error
    if _state(error) == LOCK_TIMEOUT_STATE:
        raise Unavailable("Somebody else has locked what this needs.") from error
    if _state(error) in RETRY_STATES:
        raise Unavailable("Too many others change the same.") from error
    if _state(error).startswith(GIVEN_UP_STATES):
        raise Unavailable("The database has given up on this.") from error


def _isolated(level: str, connection: Connection, work: Callable[[Connection], _T]) -> _T:
    """Runs `work` at an isolation level; with `autocommit` each statement by itself, without BEGIN.

    Said to the driver: SQLAlchemy would set and reset the level for 30 us each time.
    """
    driver: Any = connection.connection.dbapi_connection
    driver.isolation_level = level
    return work(connection)


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", "") or "")
