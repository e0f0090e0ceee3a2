"""PostgreSQL through asyncpg; the same plain transaction functions as on SQLite."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

import orjson
from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from chassis.errors import Unavailable

_T = TypeVar("_T")
log = logging.getLogger(__name__)

READERS_MAX = 4
WRITERS_MAX = 8
"""Connections apart from each other: who waits for a locked row keeps no reader waiting. More to
write, because each locked row keeps one."""
CONNECTIONS_MAX = READERS_MAX + WRITERS_MAX + 1
"""Of one process, with the one that only asks whether the database answers."""
ANSWER_TIMEOUT_S = 60.0
"""How long one run of a transaction may take. Only a server that has vanished without closing its
connections takes that long, and those would wait for a quarter of an hour and more."""
CLOSE_TIMEOUT_S = 10.0
"""How long closing waits for running transactions."""
ATTEMPTS_MAX = 5
"""Runs of one transaction when the database asks to try again."""
LOCK_TIMEOUT_MS = 5_000
"""How long a statement waits for a lock that another transaction holds."""
LOCK_TIMEOUT_STATE = "55P03"
RETRY_STATES = frozenset({"40001", "40P01"})
"""SQLSTATE of a serialization failure and of a deadlock."""
GIVEN_UP_STATES = ("53", "57014")
"""How the SQLSTATE begins where the server lacks memory or room, or was told to end a statement."""
_SILENT = "The database does not answer."
_CLOSED = "The database is closed."


def async_url(url: str) -> URL:
    """The URL with our driver, whatever driver it named."""
    return make_url(url).set(drivername="postgresql+asyncpg")


class PostgresDatabase:
    """A pool of connections to one PostgreSQL database."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        self._drivers: WeakSet[Any] = WeakSet()
        """Of all connections that are open."""
        self._writers = self._engine(url, WRITERS_MAX)
        self._readers = self._engine(url, READERS_MAX)
        # Of its own, for one question: whether it answers must not depend on who waits for what.
        self._pings = self._engine(url, 1)
        # A page and its total must agree, so a read sees one snapshot.
        self._snapshots = self._readers.execution_options(isolation_level="REPEATABLE READ")
        self._callbacks: list[Callable[[], None]] = []
        self._closed = False
        self._ended = False
        """Closed, and what was still running was cut off."""
        self._is_away = False
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

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
                result = await self._run(self._writers, transact)
            except DBAPIError as error:
                # A connection that broke before the commit was sent has changed nothing.
                broken = error.connection_invalidated and not committing
                again = broken or _state(error) in RETRY_STATES
                if self._closed or attempt == ATTEMPTS_MAX or not again:
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
        return await self._look(self._snapshots, work)

    async def glance(self, work: Callable[[Connection], _T]) -> _T:
        """Runs `work` without a transaction: one round trip for each statement."""
        return await self._look(self._readers, lambda connection: _by_itself(connection, work))

    async def _look(self, engine: AsyncEngine, work: Callable[[Connection], _T]) -> _T:
        try:
            return await self._run(engine, work)
        except DBAPIError as error:
            if not error.connection_invalidated:
                _refuse(error)
                raise
        # The pool has dropped what was as old as the connection that died.
        try:
            return await self._run(engine, work)
        except DBAPIError as error:
            _refuse(error)
            raise

    async def ping(self) -> None:
        """See Database.ping."""
        await self._look(self._pings, lambda connection: _by_itself(connection, _ask))

    def on_commit(self, callback: Callable[[], None]) -> None:
        """See Database.on_commit."""
        self._callbacks.append(callback)

    async def close(self) -> None:
        """Waits for running transactions, within CLOSE_TIMEOUT_S, and closes all connections."""
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._idle.wait()
        except TimeoutError:
            log.warning("closed with %d transactions running", self._running)
        self._ended = True
        for driver in self._drivers:
            # Without a goodbye: a silent server would not answer it. One that lives ends what
            # it was running when that is done, and commits nothing of it.
            driver.terminate()
        for engine in (self._writers, self._readers, self._pings):
            await engine.dispose()

    def _engine(self, url: str, connections_max: int) -> AsyncEngine:
        engine = create_async_engine(
            async_url(url),
            pool_size=connections_max,
            max_overflow=0,
            connect_args={"server_settings": {"lock_timeout": str(LOCK_TIMEOUT_MS)}},
            # No ping before use: it costs a round trip each time. What meets a connection that
            # has died is repeated on another one.
            # Errors reach the log; what was to be stored must not.
            hide_parameters=True,
            json_deserializer=orjson.loads,
        )

        @event.listens_for(engine.sync_engine, "connect")
        def remember(connection: Any, _record: Any) -> None:
            self._drivers.add(connection.driver_connection)

        return engine

    async def _run(self, engine: AsyncEngine, work: Callable[[Connection], _T]) -> _T:
        """Runs `work` on a connection of the pool. Raises Unavailable.

        In one greenlet from connecting to giving back, because each costs 20 us.
        """
        if self._closed:
            raise Unavailable(_CLOSED)
        self._running += 1
        self._idle.clear()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S) as bound:
                return await greenlet_spawn(self._on_connection, engine.sync_engine, work)
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise Unavailable(_SILENT) from error
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    def _on_connection(self, engine: Engine, work: Callable[[Connection], _T]) -> _T:
        try:
            connection = engine.connect()
        except (OSError, DBAPIError, PoolTimeoutError) as error:
            if not self._is_away:
                # Once: whoever waits for it tries again and again.
                log.warning("no connection to the database: %r", error)
            self._is_away = True
            raise Unavailable(_SILENT) from error
        self._is_away = False
        with connection:
            if self._ended:
                # Nobody waits for the end of what would begin now.
                connection.invalidate()
                raise Unavailable(_CLOSED)
            return work(connection)


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


def _by_itself(connection: Connection, work: Callable[[Connection], _T]) -> _T:
    """Runs `work` with each statement a transaction of its own, which needs no BEGIN.

    Said to the driver: as an isolation level it would be set and reset for 30 us each time.
    """
    driver: Any = connection.connection.dbapi_connection
    driver.autocommit = True
    try:
        return work(connection)
    finally:
        driver.autocommit = False


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", "") or "")
