"""Somebody keeps an account, or the whole file, locked: who waits for that, how long and why."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import connections, postgres, sqlite
from chassis.caller import Caller
from chassis.database import open_database
from chassis.errors import Unavailable
from services.billing import schema
from services.billing.domain import Balance
from services.billing.service import group_commit
from tests.billing.conftest import Billing
from tests.billing.samples import CALL, picture

balances = schema.account_balances
on_postgresql = pytest.mark.parametrize("dialect", ["postgresql"])


def member(number):
    return Caller.service(
        "tasks", account_id=f"account-{number}", site_id="site-1", request_id="request-1"
    )


@pytest.fixture
async def hasty(database_url, monkeypatch):
    """Billing whose database waits for a tenth of a second for locks."""
    monkeypatch.setattr(connections, "LOCK_TIMEOUT_MS", 100)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 100)
    database = open_database(database_url)
    yield Billing(database)
    await database.close()


@asynccontextmanager
async def locked(billing, *callers):
    """Another process holds the locks of these accounts."""
    accounts = [each.account_id for each in callers]
    statement = select(balances).where(balances.c.account_id.in_(accounts)).with_for_update()
    engine = AsyncEngine(billing.database._writers.engine)
    async with engine.connect() as connection, connection.begin():
        await connection.execute(statement)
        yield


async def begun(billing, *callers):
    """Tasks that reserve for these callers, and by now wait for their locks."""
    tasks = [
        asyncio.create_task(billing.reservations.reserve(each, [picture("a", 7)]))
        for each in callers
    ]
    lanes = billing.reservations._group_commit._locked
    async with asyncio.timeout(10):
        while set(lanes) != {each.account_id for each in callers}:
            await asyncio.sleep(0.001)
    return tasks


@on_postgresql
async def test_a_locked_account_holds_up_no_other(opened):
    everybody = [member(number) for number in range(8)]
    for each in everybody:
        await opened.accounts.open(each)
    stuck, others = everybody[:6], everybody[6:]
    async with locked(opened, *stuck):
        waiting = await begun(opened, *stuck)
        async with asyncio.timeout(4):
            together = (opened.reservations.reserve(each, [picture("b", 5)]) for each in others)
            await asyncio.gather(*together)
            await opened.settlement.commit(others[0], "b", 5, CALL)
        assert not any(task.done() for task in waiting)
        # Who comes later for a locked account waits behind those that wait already.
        again = opened.reservations.reserve(stuck[0], [picture("a", 7)])
        waiting.append(asyncio.create_task(again))
    made = await asyncio.gather(*waiting)
    assert made[0] == made[-1]
    assert [await opened.balance(each) for each in stuck] == [Balance(100, 93, 7, 0)] * 6
    assert opened.reservations._group_commit._locked == {}
    assert await opened.drifts() == []


@on_postgresql
async def test_who_waits_too_long_for_a_lock_is_told_and_may_ask_again(opened, hasty):
    await opened.accounts.open(member(1))
    async with locked(opened, member(1)):
        for call in (
            hasty.reservations.reserve(member(1), [picture("a")]),
            hasty.plans.change(member(1), "starter"),
        ):
            with pytest.raises(Unavailable, match="locked"):
                await call
    await hasty.reservations.reserve(member(1), [picture("a")])
    assert await opened.balance(member(1)) == Balance(100, 99, 1, 0)


@on_postgresql
async def test_only_so_many_locks_are_waited_for_at_once(opened, monkeypatch):
    monkeypatch.setattr(group_commit, "LOCKED_WAIT_S", 0.05)
    everybody = [member(number) for number in range(group_commit.LOCKED_MAX + 2)]
    for each in everybody:
        await opened.accounts.open(each)
    async with locked(opened, *everybody):
        calls = await begun(opened, *everybody)
        done, waiting = await asyncio.wait(calls, timeout=1)
        assert len(waiting) == group_commit.LOCKED_MAX
        assert all(isinstance(each.exception(), Unavailable) for each in done)
    await asyncio.gather(*waiting)


@on_postgresql
async def test_a_locked_account_is_swept_last_and_holds_up_no_other(frozen, opened, hasty):
    for each in (member(1), member(2)):
        await opened.accounts.open(each)
        await opened.reservations.reserve(each, [picture("a", 7)])
    frozen.forward(days=2)
    async with locked(opened, member(1)):
        assert await hasty.sweeper.sweep() == 1
        assert await opened.balance(member(2)) == Balance(100, 100, 0, 0)
    assert await opened.sweeper.sweep() == 1


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_locked_file_is_told_to_all_at_once(opened, hasty, database_url):
    everybody = [member(number) for number in range(6)]
    for each in everybody:
        await opened.accounts.open(each)
    other = sqlite3.connect(make_url(database_url).database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    calls = (hasty.reservations.reserve(each, [picture("a", 5)]) for each in everybody)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(each) for each in answers} == {Unavailable}
    other.execute("ROLLBACK")
    other.close()
    assert await opened.count(schema.reservations) == 0


@on_postgresql
async def test_a_connection_that_keeps_breaking_is_told_as_unavailable(opened, monkeypatch):
    await opened.accounts.open(member(1))
    monkeypatch.setattr(postgres, "ATTEMPTS_MAX", 1)
    group = opened.reservations._group_commit
    end = "SELECT pg_terminate_backend(pg_backend_pid())"

    class Ended:
        dialect = "postgresql"

        async def write(self, work):
            return await opened.database.write(
                lambda connection: (connection.exec_driver_sql(end), work(connection))[1]
            )

    with monkeypatch.context() as patch:
        patch.setattr(group, "database", Ended())
        with pytest.raises(Unavailable, match="connection"):
            await opened.reservations.reserve(member(1), [picture("a")])
    assert await opened.count(schema.reservations) == 0
