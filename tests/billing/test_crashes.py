"""A process dies, or a statement fails, before any statement and the commit of a group: nothing is
half done, whoever asks again has one effect, and what fails in one call spoils no other."""

import asyncio
from dataclasses import dataclass

import pytest
from sqlalchemy.exc import OperationalError

from services.billing import schema
from services.billing.domain import Balance
from services.billing.service import Heard, Request, Work
from services.billing.service.calls import Call
from tests.billing.faults import Died, dying_at, statements
from tests.billing.samples import CALL, OPERATOR, picture

STATEMENTS_MAX = 60
TABLES = (
    "account_balances",
    "budgets",
    "grants",
    "inbox",
    "ledger_entries",
    "ledger_transactions",
    "outbox",
    "reservations",
    "usage_records",
)


async def everything(billing):
    """All rows of billing."""
    tables = schema.metadata.tables
    return await billing.database.read(
        lambda connection: {
            name: sorted(map(str, connection.execute(tables[name].select()))) for name in TABLES
        }
    )


def a_group(billing, who, name):
    """Calls of all kinds that share a transaction; and what they come to."""
    reserved = [picture(f"{name}-c"), picture(f"{name}-d", 2)]
    heard = [Heard("billing", f"{name}-{number}") for number in range(2)]
    return [
        lambda: billing.reservations.reserve(who, reserved, work_for=Work(f"{name}-run", None, 50)),
        lambda: billing.settlement.commit(who, f"{name}-0", 1, CALL),
        lambda: billing.settlement.void(who, f"{name}-1", ""),
        lambda: billing.settlement.work_succeeded(heard[0], who, f"{name}-2", 1, CALL),
        lambda: billing.settlement.work_failed(heard[1], who, f"{name}-3", "TIMEOUT", CALL),
    ]


async def prepared(billing, who, name):
    items = [picture(f"{name}-{number}", 2) for number in range(4)]
    await billing.reservations.reserve(who, items)


async def together(calls):
    return await asyncio.gather(*(call() for call in calls), return_exceptions=True)


async def dies_before_statements(opened, tasks, stride):
    await opened.corrections.adjust(OPERATOR, Request("much", "for the test"), 10_000)
    for number in range(1, STATEMENTS_MAX, stride):
        name = f"{number}"
        await prepared(opened, tasks, name)
        before = await everything(opened)
        with statements(opened, dying_at(number)) as seen:
            answers = await together(a_group(opened, tasks, name))
        if len(seen) < number:
            assert number > 10
            return
        assert {type(each) for each in answers} == {Died}
        assert await everything(opened) == before
        answers = await together(a_group(opened, tasks, name))
        assert not [each for each in answers if isinstance(each, BaseException)]
        assert await together(a_group(opened, tasks, name)) == answers
        assert await opened.drifts() == []
    pytest.fail("there are more statements than were met")


async def test_a_process_that_dies_before_some_statements_leaves_nothing(opened, tasks):
    await dies_before_statements(opened, tasks, 7)


@pytest.mark.slow
async def test_a_process_that_dies_before_any_statement_leaves_nothing(opened, tasks):
    await dies_before_statements(opened, tasks, 1)


async def test_a_process_that_dies_before_the_commit_leaves_nothing(opened, tasks):
    await prepared(opened, tasks, "a")
    before = await everything(opened)
    database = opened.database
    engine = database._writer if database.dialect == "sqlite" else database._writers.engine
    commit = engine.dialect.do_commit

    def die(_connection):
        raise Died

    engine.dialect.do_commit = die
    try:
        answers = await together(a_group(opened, tasks, "a"))
    finally:
        engine.dialect.do_commit = commit
    assert {type(each) for each in answers} == {Died}
    assert await everything(opened) == before
    answers = await together(a_group(opened, tasks, "a"))
    assert not [each for each in answers if isinstance(each, BaseException)]
    assert await opened.balance(tasks) == Balance(100, 95, 3, 2)
    assert await opened.drifts() == []


@pytest.mark.slow
async def test_a_statement_that_fails_once_spoils_no_call(opened, tasks):
    await opened.corrections.adjust(OPERATOR, Request("much", "for the test"), 10_000)
    for number in range(1, STATEMENTS_MAX):
        name = f"{number}"
        await prepared(opened, tasks, name)

        def at_each(seen, _connection, number=number):
            if seen == number:
                raise OperationalError("", {}, Exception("a hiccup"))

        with statements(opened, at_each) as seen:
            answers = await together(a_group(opened, tasks, name))
        assert not [each for each in answers if isinstance(each, BaseException)]
        assert await opened.drifts() == []
        if len(seen) < number:
            return
    pytest.fail("there are more statements than were met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(Call[None]):
    """Notes what the database refuses, which no call of ours does."""

    keys: tuple[str, ...] = ()

    def run(self, journal):
        journal.books.unit.pending.note().heard.append((None, None))


async def test_a_call_that_the_database_refuses_spoils_no_other(opened, tasks):
    await prepared(opened, tasks, "a")
    group = opened.reservations._group_commit
    calls = a_group(opened, tasks, "a")
    answers = await together([*calls[:2], lambda: group.run(Broken(caller=tasks)), *calls[2:]])
    failed = [number for number, each in enumerate(answers) if isinstance(each, BaseException)]
    assert failed == [2]
    assert await opened.balance(tasks) == Balance(100, 95, 3, 2)
    assert await opened.drifts() == []


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_a_connection_that_is_ended_before_any_statement_costs_nobody_the_answer(
    opened, tasks
):
    await opened.corrections.adjust(OPERATOR, Request("much", "for the test"), 10_000)
    end = "SELECT pg_terminate_backend(pg_backend_pid())"
    for number in range(1, STATEMENTS_MAX):
        name = f"{number}"
        await prepared(opened, tasks, name)
        ended = []

        def at_each(seen, connection, number=number, ended=ended):
            if seen == number:
                ended.append(number)
                connection.exec_driver_sql(end)

        with statements(opened, at_each):
            answers = await together(a_group(opened, tasks, name))
        assert not [each for each in answers if isinstance(each, BaseException)]
        assert await opened.drifts() == []
        if not ended:
            assert number > 10
            return
    pytest.fail("there are more statements than were met")
