"""What a transaction promises, whichever database keeps it."""

import asyncio

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from chassis.errors import Unavailable

TOGETHER = 60
INCREMENTS = 200
WITHIN_S = 20.0


class Mistake(Exception):
    pass


@pytest.fixture
def add(tables):
    def add(connection, key, value=0):
        connection.execute(insert(tables["counters"]).values(id=str(key), value=value))
        return str(key)

    return add


@pytest.fixture
def ids(database, tables):
    async def ids(table="counters"):
        found = select(tables[table].c.id)
        return set(await database.read(lambda c: c.execute(found).scalars().all()))

    return ids


class TestOutcomes:
    async def test_a_write_answers_with_what_its_work_returned(self, database, add):
        assert await database.write(lambda c: add(c, "one")) == "one"

    async def test_a_failed_work_changes_nothing(self, database, add, ids):
        def work(connection):
            add(connection, "one")
            raise Mistake

        with pytest.raises(Mistake):
            await database.write(work)
        assert await ids() == set()

    async def test_a_failed_work_does_no_harm_to_those_beside_it(self, database, add, ids):
        def work(number):
            def work(connection):
                add(connection, number)
                if number % 3 == 0:
                    raise Mistake

            return work

        outcomes = await asyncio.gather(
            *(database.write(work(n)) for n in range(TOGETHER)), return_exceptions=True
        )
        assert [isinstance(outcome, Mistake) for outcome in outcomes] == [
            n % 3 == 0 for n in range(TOGETHER)
        ]
        assert await ids() == {str(n) for n in range(TOGETHER) if n % 3}

    async def test_a_commit_that_fails_does_no_harm_to_those_beside_it(
        self, database, tables, add, ids
    ):
        def work(number):
            def work(connection):
                add(connection, number)
                if number == TOGETHER // 2:
                    orphan = {"id": "orphan", "thing_id": "missing"}
                    connection.execute(insert(tables["notes"]).values(orphan))

            return work

        outcomes = await asyncio.gather(
            *(database.write(work(n)) for n in range(TOGETHER)), return_exceptions=True
        )
        failed = [n for n, outcome in enumerate(outcomes) if outcome is not None]
        assert failed == [TOGETHER // 2]
        assert isinstance(outcomes[TOGETHER // 2], IntegrityError)
        assert await ids() == {str(n) for n in range(TOGETHER)} - {str(TOGETHER // 2)}
        assert await ids("notes") == set()

    async def test_every_kind_of_error_reaches_who_asked(self, database):
        def work(_connection):
            return next(iter(()))

        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.wait_for(database.write(work), WITHIN_S)

    async def test_a_read_that_writes_changes_nothing(self, database, add, ids):
        await database.read(lambda c: add(c, "one"))
        assert await ids() == set()
        assert await database.write(lambda c: add(c, "two")) == "two"


class TestConcurrency:
    async def test_concurrent_increments_lose_nothing(self, database, tables, add):
        counters = tables["counters"]
        await database.write(lambda c: add(c, "one"))

        def increment(connection):
            found = select(counters.c.value).where(counters.c.id == "one").with_for_update()
            value = connection.execute(found).scalar_one()
            connection.execute(update(counters).values(value=value + 1))

        await asyncio.gather(*(database.write(increment) for _ in range(INCREMENTS)))
        value = await database.read(lambda c: c.execute(select(counters.c.value)).scalar_one())
        assert value == INCREMENTS

    async def test_a_read_sees_one_snapshot(self, database, add, tables):
        counted = select(func.count()).select_from(tables["counters"])
        written = 0

        async def keep_writing():
            nonlocal written
            while True:
                written += 1
                await database.write(lambda c, n=written: add(c, n))

        def count_twice(connection):
            before = connection.execute(counted).scalar_one()
            rows = connection.execute(select(tables["counters"].c.id)).all()
            return before, len(rows)

        writer = asyncio.create_task(keep_writing())
        try:
            async with asyncio.timeout(WITHIN_S):
                while written < 30:
                    before, after = await database.read(count_twice)
                    assert before == after
                    await asyncio.sleep(0)
        finally:
            writer.cancel()
            await asyncio.wait([writer])

    async def test_a_write_is_seen_by_the_read_that_follows_it(self, database, add, ids):
        for number in range(20):
            await database.write(lambda c, n=number: add(c, n))
            assert str(number) in await ids()

    async def test_many_reads_at_once_are_answered(self, ids):
        assert await asyncio.gather(*(ids() for _ in range(100))) == [set()] * 100


class TestCancelling:
    async def test_a_cancelled_write_happened_or_not_and_the_database_goes_on(
        self, database, add, ids
    ):
        tasks = []
        for number in range(TOGETHER):
            tasks.append(asyncio.create_task(database.write(lambda c, n=number: add(c, n))))
            if number % 5 == 0:
                await asyncio.sleep(0.001)
            tasks[number // 2].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        certain = {outcome for outcome in outcomes if isinstance(outcome, str)}
        assert certain
        assert any(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert certain <= await ids() <= {str(n) for n in range(TOGETHER)}
        for number in range(20):
            await asyncio.wait_for(database.write(lambda c, n=number: add(c, f"after-{n}")), 5)

    async def test_a_cancelled_write_never_happens_by_halves(self, database, add, ids):
        def work(number):
            def work(connection):
                add(connection, f"{number}-left")
                add(connection, f"{number}-right")

            return work

        for number in range(20):
            task = asyncio.create_task(database.write(work(number)))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await database.write(lambda c: add(c, "last"))
        found = await ids()
        for number in range(20):
            assert (f"{number}-left" in found) == (f"{number}-right" in found)


class TestCallbacks:
    async def test_a_commit_calls_back_on_the_loop(self, database, add):
        committed = asyncio.Event()
        loops = []
        database.on_commit(lambda: loops.append(asyncio.get_running_loop()))
        database.on_commit(committed.set)
        await database.write(lambda c: add(c, "one"))
        await asyncio.wait_for(committed.wait(), WITHIN_S)
        assert loops == [asyncio.get_running_loop()]

    async def test_what_was_not_committed_calls_nobody(self, database):
        calls = []
        database.on_commit(lambda: calls.append(1))

        def work(_connection):
            raise Mistake

        with pytest.raises(Mistake):
            await database.write(work)
        await database.read(lambda _c: None)
        await asyncio.sleep(0.01)
        assert calls == []

    async def test_a_callback_finds_what_was_committed(self, database, add, ids):
        committed = asyncio.Event()
        database.on_commit(committed.set)
        writing = asyncio.create_task(database.write(lambda c: add(c, "one")))
        await asyncio.wait_for(committed.wait(), WITHIN_S)
        assert await ids() == {"one"}
        await writing

    async def test_a_callback_that_fails_does_not_undo_what_is_committed(self, database, add, ids):
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _context: None)

        def fail():
            raise Mistake

        called = asyncio.Event()
        database.on_commit(fail)
        database.on_commit(called.set)
        assert await database.write(lambda c: add(c, "one")) == "one"
        await asyncio.wait_for(called.wait(), WITHIN_S)
        assert await ids() == {"one"}


class TestClosing:
    async def test_what_was_asked_before_closing_happens(self, database, add):
        writes = [
            asyncio.create_task(database.write(lambda c, n=n: add(c, n))) for n in range(TOGETHER)
        ]
        await asyncio.sleep(0)
        await asyncio.wait_for(database.close(), WITHIN_S)
        done, pending = await asyncio.wait(writes, timeout=5)
        assert not pending
        assert {task.result() for task in done} == {str(n) for n in range(TOGETHER)}

    async def test_a_closed_database_refuses_at_once(self, database, add):
        await database.close()
        with pytest.raises(Unavailable, match="closed"):
            await asyncio.wait_for(database.write(lambda c: add(c, "one")), 5)
        with pytest.raises(Unavailable, match="closed"):
            await asyncio.wait_for(database.read(lambda _c: 1), 5)

    async def test_closing_under_load_leaves_nobody_waiting(self, database, add):
        async def keep_writing(name):
            number = 0
            while True:
                number += 1
                await database.write(lambda c, n=number: add(c, f"{name}-{n}"))

        writers = [asyncio.create_task(keep_writing(name)) for name in range(8)]
        await asyncio.sleep(0.05)
        await asyncio.wait_for(database.close(), WITHIN_S)
        done, pending = await asyncio.wait(writers, timeout=5)
        assert not pending
        assert {type(task.exception()) for task in done} == {Unavailable}

    async def test_closing_twice_is_harmless(self, database):
        await database.close()
        await asyncio.wait_for(database.close(), 5)
