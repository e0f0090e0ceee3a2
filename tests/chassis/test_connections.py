"""Connections to PostgreSQL are used again as if each were new, and let go when they have died."""

import asyncio
import contextlib

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from chassis import postgres
from chassis.database import open_database

PID = text("SELECT pg_backend_pid()")
LEVEL = text("SHOW transaction_isolation")
OTHERS = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid != pg_backend_pid()"
)


class WrongTurnError(Exception):
    """What a piece of work is ended by."""


@pytest.fixture
async def database(postgres):
    """With one table, `things`."""
    name = postgres.create()
    opened = open_database(postgres.url(name))
    await opened.write(lambda c: c.execute(text("CREATE TABLE things (name text)")))
    yield opened
    await opened.close()
    postgres.drop(name)


def pid(connection):
    return connection.execute(PID).scalar_one()


def add(name):
    return lambda connection: connection.execute(text(f"INSERT INTO things VALUES ('{name}')"))


async def things(database):
    found = await database.glance(lambda c: c.execute(text("SELECT name FROM things")).scalars())
    return list(found)


async def busy_ones(database):
    """The servers' processes of all connections that may be open to read."""

    def slowly(connection):
        connection.execute(text("SELECT pg_sleep(0.05)"))
        return pid(connection)

    return set(
        await asyncio.gather(*(database.glance(slowly) for _ in range(postgres.READERS_MAX)))
    )


async def test_a_connection_is_used_again(database):
    def itself(connection):
        return connection

    readers = {await way(itself) for way in (database.glance, database.read) for _ in range(3)}
    writers = {await database.write(itself) for _ in range(3)}
    assert len(readers) == len(writers) == 1
    assert readers != writers


async def test_each_use_has_its_own_isolation(database):
    def level(connection):
        return connection.execute(LEVEL).scalar_one()

    def moments(connection):
        return [connection.execute(text("SELECT now()")).scalar_one() for _ in range(2)]

    for _ in range(2):
        assert await database.read(level) == "repeatable read"
        assert await database.glance(level) == await database.write(level) == "read committed"
        first, second = await database.read(moments)
        assert first == second
        first, second = await database.glance(moments)
        assert first < second


async def test_what_a_read_or_a_refused_write_did_is_undone(database):
    def refused(connection):
        add("refused")(connection)
        raise WrongTurnError

    await database.read(add("read"))
    for way in (database.read, database.write):
        with pytest.raises(WrongTurnError):
            await way(refused)

    begun = asyncio.Event()

    def too_slow(connection):
        add("given up")(connection)
        begun.set()
        connection.execute(text("SELECT pg_sleep(5)"))

    given_up = asyncio.create_task(database.write(too_slow))
    await begun.wait()
    given_up.cancel()
    await asyncio.wait([given_up])
    await database.write(add("kept"))
    assert await things(database) == ["kept"]


async def test_those_that_died_together_cost_one_repetition(database):
    before = await busy_ones(database)
    assert len(before) == postgres.READERS_MAX
    await database.write(lambda c: c.execute(OTHERS))
    runs = []

    def counted(connection):
        runs.append(None)
        return connection.execute(select(1)).scalar_one()

    assert await database.glance(counted) == 1
    assert len(runs) == 2
    assert not before & await busy_ones(database)


async def test_one_that_broke_is_not_kept_even_if_nobody_said_so(database):
    used = []

    def swallows(connection):
        used.append(connection)
        with contextlib.suppress(DBAPIError):
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    await database.glance(swallows)
    assert used[0].closed
    assert await database.glance(lambda connection: connection) is not used[0]


async def test_nothing_stays_open_behind_the_end(postgres, left_by_all):
    name = postgres.create()
    database = open_database(postgres.url(name))
    used = set()

    def use(connection):
        used.add(connection)
        return pid(connection)

    await asyncio.gather(*(way(use) for way in (database.glance, database.write) for _ in range(4)))
    await database.ping()
    await database.close()
    # Else the pool, too, would believe them in use.
    assert used
    assert all(connection.closed for connection in used)
    await left_by_all(postgres.url(name))
    postgres.drop(name)


async def test_what_ends_behind_the_end_keeps_nothing(postgres):
    name = postgres.create()
    database = open_database(postgres.url(name))
    used = []

    def ends_late(connection):
        found = pid(connection)
        # As when the last answer had come before the connections were cut.
        database._connections._has_ended = True
        used.append(connection)
        return found

    assert await database.glance(ends_late)
    assert used[0].closed
    await database.close()
    postgres.drop(name)
