"""Calls that share a transaction: each succeeds or is refused as if it were alone."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from chassis import clock
from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.ids import new_id
from chassis.outbox import Outbox
from services.billing import schema
from services.billing.domain import Balance, Budget, BudgetScope
from services.billing.errors import InsufficientCredits
from services.billing.service import Heard, Work, group_commit
from services.billing.service.calls import Call
from services.billing.store import UnitOfWork
from tests.billing.conftest import our_time
from tests.billing.faults import statements
from tests.billing.samples import CALL, picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoiler(Call[None]):
    """Notes something and then fails, or is refused, which no call of ours does."""

    error: Exception
    keys: tuple[str, ...] = ()

    def run(self, journal):
        journal.books.set_low_at(7)
        journal.books.tell(None)
        raise self.error


def together(*calls):
    """All begin before the first one is looked at, so they are one group."""
    return asyncio.gather(*calls, return_exceptions=True)


def writes(billing, monkeypatch):
    """Counts transactions from now on."""
    database, seen = billing.database, []

    class Counting:
        dialect = database.dialect

        async def write(self, work):
            seen.append(work)
            return await database.write(work)

    group = billing.reservations._group_commit
    monkeypatch.setattr(group, "database", Counting())
    return seen


async def test_one_is_refused_and_the_others_have_what_there_is(opened, tasks, monkeypatch):
    seen = writes(opened, monkeypatch)
    first, refused, last = await together(
        opened.reservations.reserve(tasks, [picture("a", 60)]),
        opened.reservations.reserve(tasks, [picture("b", 60)]),
        opened.reservations.reserve(tasks, [picture("c", 40)]),
    )
    assert [each.credits_reserved for each in (*first, *last)] == [60, 40]
    assert isinstance(refused, InsufficientCredits)
    assert refused.metadata["available"] == "40"
    assert await opened.balance(tasks) == Balance(100, 0, 100, 0)
    assert len(seen) == 1
    assert await opened.drifts() == []


async def test_what_one_returns_the_next_one_can_have(opened, tasks, monkeypatch):
    await opened.reservations.reserve(tasks, [picture("a", 90)])
    seen = writes(opened, monkeypatch)
    _, reserved = await together(
        opened.settlement.void(tasks, "a", ""),
        opened.reservations.reserve(tasks, [picture("b", 95)]),
    )
    assert reserved[0].credits_reserved == 95
    assert len(seen) == 1
    assert await opened.drifts() == []


async def test_a_reservation_may_be_made_and_settled_in_one_group(opened, tasks):
    made, settled = await together(
        opened.reservations.reserve(tasks, [picture("a", 9)]),
        opened.settlement.commit(tasks, "a", 4, CALL),
    )
    assert made[0].id == settled.id
    assert await opened.balance(tasks) == Balance(100, 96, 0, 4)
    assert await opened.drifts() == []


async def test_the_same_call_twice_in_one_group_is_made_once(opened, tasks):
    calls = (opened.reservations.reserve(tasks, [picture("a", 9)]) for _ in range(5))
    answers = await together(*calls)
    assert len({each[0].id for each in answers}) == 1
    answers = await together(*(opened.settlement.commit(tasks, "a", 5, CALL) for _ in range(5)))
    assert {each.credits_charged for each in answers} == {5}
    assert await opened.balance(tasks) == Balance(100, 95, 0, 5)


async def test_the_same_event_twice_in_one_group_takes_effect_once(opened, tasks):
    await opened.reservations.reserve(tasks, [picture("a", 9)])
    heard = Heard("billing", "event-1")
    calls = (opened.settlement.work_succeeded(heard, tasks, "a", 4, CALL) for _ in range(3))
    assert await together(*calls) == [None] * 3
    assert await opened.count(schema.usage_records) == 1
    assert await opened.count(schema.metadata.tables["inbox"]) == 1


async def test_an_event_that_is_refused_is_not_taken_for_heard(opened, tasks):
    heard = Heard("billing", "event-1")
    [refused, _] = await together(
        opened.settlement.work_succeeded(heard, tasks, "later", 1, CALL),
        opened.reservations.reserve(tasks, [picture("a")]),
    )
    assert isinstance(refused, NotFound)
    await opened.reservations.reserve(tasks, [picture("later")])
    await opened.settlement.work_succeeded(heard, tasks, "later", 1, CALL)
    assert (await opened.balance(tasks)).spent == 1


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), NotFound("thing", "half-way")])
async def test_one_that_fails_half_way_fails_alone(opened, tasks, error):
    group = opened.reservations._group_commit
    reserved, failed, other = await together(
        opened.reservations.reserve(tasks, [picture("a", 5)]),
        group.run(Spoiler(caller=tasks, error=error)),
        opened.reservations.reserve(tasks, [picture("b", 6)]),
    )
    assert failed is error
    assert [reserved[0].credits_reserved, other[0].credits_reserved] == [5, 6]
    assert await opened.balance(tasks) == Balance(100, 89, 11, 0)
    assert await opened.drifts() == []


async def test_accounts_in_one_group_do_not_see_each_other(opened, tasks, monkeypatch):
    strangers = [
        replace(tasks, account_id=f"account-{n}", request_id=f"request-{n}") for n in range(8)
    ]
    for each in strangers:
        await opened.accounts.open(each)
    seen = writes(opened, monkeypatch)
    # The same key everywhere: keys belong to accounts.
    answers = await together(
        *(
            opened.reservations.reserve(each, [picture("a", 10 + n)])
            for n, each in enumerate(strangers)
        )
    )
    assert len(seen) == 1
    assert [each[0].account_id for each in answers] == [each.account_id for each in strangers]
    balances = [await opened.balance(each) for each in strangers]
    assert balances == [Balance(100, 90 - n, 10 + n, 0) for n in range(8)]
    told = [fact for fact in await opened.facts() if hasattr(fact, "reservation_key")]
    assert [fact.account_id for fact in told] == [each.account_id for each in strangers]


async def test_a_later_call_of_a_group_finds_the_key_of_a_run_that_began_in_it(opened, tasks):
    _, pictures = await together(
        opened.reservations.reserve(
            tasks, [picture("a")], work_for=Work(run_id="run-1", api_key_id="key-1")
        ),
        opened.reservations.reserve(tasks, [picture("b")], work_for=Work(run_id="run-1")),
    )
    assert pictures[0].api_key_id == "key-1"


@pytest.mark.parametrize("api_key_id", [None, "key-1"])
async def test_a_group_costs_no_more_statements_than_one_call(opened, tasks, api_key_id):
    strangers = [replace(tasks, account_id=f"account-{n}") for n in range(20)]
    for each in strangers:
        await opened.accounts.open(each)
    counts = []
    for callers in (strangers[:1], strangers):
        name = f"of {len(callers)}"
        with statements(opened) as seen:
            await together(
                *(
                    opened.reservations.reserve(
                        each, [picture(name)], work_for=Work(run_id=name, api_key_id=api_key_id)
                    )
                    for each in callers
                )
            )
        counts.append(len(seen))
    assert counts[0] == counts[1]


async def test_whatever_is_noted_counts_as_noted(opened, tasks):
    """A call that is refused after it noted anything at all must not be committed with others."""

    def work(connection):
        unit = UnitOfWork(connection, Outbox("billing"), our_time)
        unit.open([tasks.account_id])
        books = unit.books(tasks.account_id)
        for note in (
            lambda: books.set_low_at(1),
            lambda: books.set_low_at(2),
            lambda: books.set_budget(budget),
            lambda: books.set_budget(budget),
            lambda: unit.note_heard(("billing", "event-1")),
        ):
            before = unit.progress
            note()
            assert unit.progress > before
        unit.flush()

    now = clock.now()
    budget = Budget(
        id=new_id(),
        revision=1,
        scope=BudgetScope.SITE,
        scope_id="site-1",
        credits=7,
        used=0,
        month="",
        create_time=now,
        update_time=now,
    )
    await opened.database.write(work)
    assert await opened.count(schema.budgets) == 1


async def test_who_hangs_up_before_its_group_began_does_not_pay(opened, tasks, monkeypatch):
    monkeypatch.setattr(group_commit, "GROUP_MAX", 1)
    first = asyncio.create_task(opened.reservations.reserve(tasks, [picture("a")]))
    second = asyncio.create_task(opened.reservations.reserve(tasks, [picture("b")]))
    await asyncio.sleep(0)
    second.cancel()
    await first
    await asyncio.wait([second])
    assert await opened.count(schema.reservations) == 1


async def test_groups_are_bounded_by_calls_and_by_keys(opened, tasks, monkeypatch):
    monkeypatch.setattr(group_commit, "GROUP_MAX", 4)
    seen = writes(opened, monkeypatch)
    await together(*(opened.reservations.reserve(tasks, [picture(f"{n}")]) for n in range(10)))
    assert len(seen) == 3
    monkeypatch.setattr(group_commit, "KEYS_MAX", 5)
    seen.clear()
    batches = [[picture(f"{batch}-{n}") for n in range(4)] for batch in range(3)]
    await together(*(opened.reservations.reserve(tasks, items) for items in batches))
    assert len(seen) == 3


async def test_too_many_that_wait_are_refused_at_once(opened, tasks, monkeypatch):
    monkeypatch.setattr(group_commit, "WAITING_MAX", 2)
    calls = (opened.reservations.reserve(tasks, [picture(f"{n}")]) for n in range(4))
    answers = await together(*calls)
    reasons = [getattr(each, "reason", "") for each in answers]
    assert reasons == ["", "", "UNAVAILABLE", "UNAVAILABLE"]


async def test_a_caller_of_another_account_cannot_note_anything(opened, tasks):
    stranger = Caller.service("tasks", account_id="stranger")

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Forged(Call[None]):
        keys: tuple[str, ...] = ()
        reservation: object = None

        def run(self, journal):
            journal.books.settle(self.reservation, "")

    [made] = await opened.reservations.reserve(tasks, [picture("a")])
    group = opened.reservations._group_commit
    with pytest.raises(ValueError, match="another account"):
        await group.run(Forged(caller=stranger, reservation=made))
