"""Connections to one PostgreSQL through asyncpg: how they are lent, bounded and closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakSet

import orjson
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from chassis.errors import Unavailable

_T = TypeVar("_T")
log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 60.0
"""How long one piece of work may take, with waiting for its turn: a server that has vanished
without closing its connections would be waited for for a quarter of an hour. Letting go of the
connection takes up to 2 s more."""
CLOSE_TIMEOUT_S = 10.0
"""How long closing waits for running work."""
LOCK_TIMEOUT_MS = 5_000
"""How long a statement waits for a lock that another transaction holds."""
_SILENT = "The database does not answer."
_CROWDED = "Too many wait for the database."
_CLOSED = "The database is closed."


def async_url(url: str) -> URL:
    """The URL with our driver, whatever driver it named, and with its name for `sslmode`."""
    parts = make_url(url).set(drivername="postgresql+asyncpg")
    mode = parts.query.get("sslmode")
    if mode is None:
        return parts
    return parts.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


@dataclass(frozen=True, slots=True)
class Lane:
    """Connections of one kind of work, which waits for them apart from all other work."""

    engine: Engine
    turns: asyncio.Semaphore
    """One for each connection, given in the order of asking. SQLAlchemy's pool would let whoever
    comes overtake those that wait, which makes the slowest answers twice as slow."""
    kept: list[Connection] = field(default_factory=list)
    """Those that nobody uses. They stay out of the pool: to take one out and to put it back costs
    20 to 60 us, a short read all in all 130."""

    def let_go(self) -> None:
        """Gives the pool back what is kept, so that it may drop what is too old."""
        while self.kept:
            self.kept.pop().close()


class Connections:
    """All connections of this process to one database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lanes: list[Lane] = []
        self._drivers: WeakSet[Any] = WeakSet()
        """Of all connections that are open."""
        self._is_closed = False
        self._has_ended = False
        """Closed, and what was still running was cut off."""
        self._is_away = False
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be begun."""
        return self._is_closed

    def lane(self, connections_max: int) -> Lane:
        """A lane of its own, whose connections are opened when they are needed."""
        engine = create_async_engine(
            async_url(self._url),
            pool_size=connections_max,
            max_overflow=0,
            connect_args={"server_settings": {"lock_timeout": str(LOCK_TIMEOUT_MS)}},
            # No ping before use: it costs a round trip each time. What meets a connection that
            # has died is repeated on another one.
            # Errors reach the log; what was to be stored must not.
            hide_parameters=True,
            json_deserializer=orjson.loads,
        ).sync_engine

        @event.listens_for(engine, "connect")
        def remember(connection: Any, _record: Any) -> None:
            self._drivers.add(connection.driver_connection)

        lane = Lane(engine, asyncio.Semaphore(connections_max))
        self._lanes.append(lane)
        return lane

    async def run(self, lane: Lane, work: Callable[[Connection], _T]) -> _T:
        """Runs `work` on a connection of the lane, and rolls back what it has not committed.

        Raises Unavailable, and what `work` raises. In one greenlet, because each costs 20 us.
        """
        if self._is_closed:
            raise Unavailable(_CLOSED)
        self._running += 1
        self._idle.clear()
        fault = _CROWDED
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S) as bound, lane.turns:
                fault = _SILENT
                return await greenlet_spawn(self._on_connection, lane, work)
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise Unavailable(fault) from error
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    def _on_connection(self, lane: Lane, work: Callable[[Connection], _T]) -> _T:
        if self._has_ended:
            # Nobody waits for the end of what would begin now.
            raise Unavailable(_CLOSED)
        connection = lane.kept.pop() if lane.kept else self._opened(lane)
        is_good = False
        try:
            result = work(connection)
            if connection.in_transaction():
                connection.rollback()
            is_good = not (connection.invalidated or self._has_ended)
        finally:
            if connection.invalidated:
                # The others may have died with it; the pool knows which are too old.
                lane.let_go()
            if is_good:
                lane.kept.append(connection)
            else:
                connection.close()
        return result

    def _opened(self, lane: Lane) -> Connection:
        try:
            connection = lane.engine.connect()
        except (OSError, DBAPIError) as error:
            if not self._is_away:
                # Once: whoever waits for it tries again and again.
                log.warning("no connection to the database: %r", error)
            self._is_away = True
            raise Unavailable(_SILENT) from error
        self._is_away = False
        if self._has_ended:
            connection.invalidate()
            connection.close()
            raise Unavailable(_CLOSED)
        return connection

    async def close(self) -> None:
        """Waits for running work, within CLOSE_TIMEOUT_S, and closes all connections."""
        self._is_closed = True
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._idle.wait()
        except TimeoutError:
            log.warning("closed with %d pieces of work unfinished", self._running)
        finally:
            self._has_ended = True
            for driver in self._drivers:
                # Without a goodbye: a silent server would not answer it. One that lives ends what
                # it was running when that is done, and commits nothing of it.
                driver.terminate()
            for lane in self._lanes:
                await greenlet_spawn(lane.let_go)
                await greenlet_spawn(lane.engine.dispose)
