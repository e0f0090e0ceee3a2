"""A database that is there and says nothing: nobody waits for it for ever, and who asks is told."""

import asyncio
import logging

import pytest
from grpc_health.v1 import health_pb2
from sqlalchemy import select, text
from support.relay import relayed

from chassis import connections, health, outbox, postgres
from chassis import process as process_module
from chassis.database import open_database
from chassis.errors import Unavailable
from chassis.health import Health
from chassis.outbox import Relay

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def one(connection):
    return connection.execute(select(1)).scalar_one()


@pytest.fixture(scope="module")
def url(postgres):
    return postgres.url(postgres.create())


@pytest.fixture
async def behind(url):
    """A database behind a relay."""
    async with relayed(url) as (relay, address):
        database = open_database(address)
        yield relay, database
        relay.go_on()
        await database.close()


async def test_a_transaction_ends_when_the_database_says_nothing(behind, monkeypatch):
    relay, database = behind
    ways = [database.read, database.write, database.glance]
    assert [await way(one) for way in ways] == [1, 1, 1]
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT_S", 0.2)
    relay.fall_silent()
    # More than there are connections: none is kept by who has given up.
    calls = [way(one) for way in ways for _ in range(postgres.READERS_MAX + 2)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    relay.go_on()
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT_S", 10.0)
    assert [await way(one) for way in ways] == [1, 1, 1]


class Told:
    """What a server tells health checks."""

    def __init__(self):
        self.states = []

    async def ready(self):
        self.states.append(SERVING)

    async def unready(self):
        self.states.append(NOT_SERVING)


async def test_health_follows_the_database(behind, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "chassis.health")
    monkeypatch.setattr(health, "ANSWER_WITHIN_S", 0.2)
    relay, database = behind
    told = Told()
    asked = Health(told, database)
    for _ in range(2):
        await asked.ask()
    relay.fall_silent()
    for _ in range(2):
        await asked.ask()
    relay.go_on()
    monkeypatch.setattr(health, "ANSWER_WITHIN_S", 10)
    await asked.ask()
    assert told.states == [SERVING, NOT_SERVING, SERVING]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["the database does not answer", "the database answers again"]
    assert "no answer within" in caplog.records[0].reason


async def test_what_starts_while_it_is_silent_does_not_say_that_it_serves(behind, monkeypatch):
    monkeypatch.setattr(health, "ANSWER_WITHIN_S", 0.2)
    relay, database = behind
    relay.fall_silent()
    told = Told()
    await Health(told, database).ask()
    assert told.states == [NOT_SERVING]


async def test_whatever_is_wrong_with_it_it_may_be_well_again():
    class Ill:
        fault = None

        async def ping(self):
            if self.fault is not None:
                raise self.fault

    told, ill = Told(), Ill()
    asked = Health(told, ill)
    for fault in (None, Unavailable("away"), ValueError("canceling statement"), None):
        ill.fault = fault
        await asked.ask()
    assert told.states == [SERVING, NOT_SERVING, SERVING]


async def test_a_row_that_is_locked_keeps_nobody_waiting_but_writers(behind):
    _, database = behind
    # As callers do that need the row of one account.
    waiting = [
        asyncio.create_task(database.write(lambda c: c.execute(text("SELECT pg_sleep(2)"))))
        for _ in range(postgres.WRITERS_MAX + 4)
    ]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(1):
        await database.ping()
        assert await database.read(one) == await database.glance(one) == 1
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_waits_for_a_connection_is_not_overtaken(url, monkeypatch):
    monkeypatch.setattr(postgres, "WRITERS_MAX", 1)
    database = open_database(url)
    order = []

    async def asks_again_and_again(name):
        for _ in range(3):
            await database.write(one)
            order.append(name)

    await asyncio.gather(*map(asks_again_and_again, "abc"))
    await database.close()
    assert order == [*"abc"] * 3


async def test_who_had_no_turn_does_not_blame_the_server(url, monkeypatch):
    monkeypatch.setattr(postgres, "WRITERS_MAX", 1)
    database = open_database(url)

    def slow(connection):
        connection.execute(text("SELECT pg_sleep(3)"))

    running = asyncio.create_task(database.write(slow))
    # It has the turn, and time.
    await asyncio.sleep(0)
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT_S", 0.2)
    with pytest.raises(Unavailable, match="Too many wait for the database"):
        await database.write(one)
    running.cancel()
    await asyncio.wait([running])
    with pytest.raises(Unavailable, match="The database does not answer"):
        await database.write(slow)
    await database.close()


async def test_what_the_server_gives_up_may_be_asked_again(behind):
    _, database = behind

    def slow(connection):
        connection.execute(text("SET LOCAL statement_timeout = 20"))
        connection.execute(text("SELECT pg_sleep(5)"))

    for way in (database.read, database.write):
        with pytest.raises(Unavailable):
            await way(slow)


async def test_closing_does_not_wait_for_it(behind, caplog):
    relay, database = behind
    await asyncio.gather(*(database.glance(one) for _ in range(postgres.READERS_MAX)))
    await database.ping()
    relay.fall_silent()
    await asyncio.wait_for(database.close(), 2)
    assert caplog.records == []


async def test_what_waits_for_a_connection_does_not_begin_after_the_end(url, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_S", 0.2)
    database = open_database(url)
    sleeping = [
        asyncio.create_task(database.write(lambda c: c.execute(text("SELECT pg_sleep(3)"))))
        for _ in range(postgres.WRITERS_MAX)
    ]
    await asyncio.sleep(0.2)
    begun = []
    waiting = asyncio.create_task(database.write(begun.append))
    await asyncio.sleep(0)
    await database.close()
    answers = await asyncio.gather(*sleeping, waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert begun == []
    said = [each.getMessage() for each in caplog.records if each.name.startswith("chassis.")]
    assert said == [f"closed with {postgres.WRITERS_MAX + 1} pieces of work unfinished"]


async def test_a_connection_that_is_made_too_late_is_given_up(
    behind, url, monkeypatch, left_by_all
):
    relay, database = behind
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_S", 0.2)
    relay.fall_silent()
    connecting = asyncio.create_task(database.glance(one))
    await asyncio.sleep(0)
    await database.close()
    relay.go_on()
    with pytest.raises(Unavailable, match="The database is closed"):
        await connecting
    await left_by_all(url)


async def test_what_was_asked_before_the_end_is_done(url):
    database = open_database(url)
    asked = [
        asyncio.create_task(
            database.write(lambda c: c.execute(text("SELECT pg_sleep(0.05)")).one())
        )
        for _ in range(3 * postgres.WRITERS_MAX)
    ]
    await asyncio.sleep(0)
    await database.close()
    assert len(await asyncio.gather(*asked)) == len(asked)


class Away:
    """A database that is not there; counts how often it was asked."""

    dialect = "postgresql"

    def __init__(self):
        self.asked = 0

    def on_commit(self, _callback):
        pass

    async def glance(self, _work):
        self.asked += 1
        raise Unavailable("The database does not answer.")


class Connected:
    connected = True

    def on_change(self, _callback):
        pass


async def test_an_outbox_that_waits_for_it_says_so_once(caplog, monkeypatch, eventually):
    monkeypatch.setattr(outbox, "BACKOFF_FIRST_S", 0.01)
    database = Away()
    relay = Relay(database, Connected())
    relay.start()
    await eventually(lambda: database.asked > 3)
    await relay.stop()
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["the outbox waits: The database does not answer."]


async def test_a_loop_that_waits_for_it_says_so_once(caplog, monkeypatch, eventually):
    monkeypatch.setattr(process_module, "LOOP_RESTART_S", 0.01)
    database = Away()
    running = asyncio.create_task(process_module._keep_running(lambda: database.glance(one)))
    await eventually(lambda: database.asked > 3)
    running.cancel()
    [record] = caplog.records
    assert record.exc_info is None
    assert "The database does not answer." in record.getMessage()
