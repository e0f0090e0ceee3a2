"""Ending reservations by call: each ends once, and says how."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from chassis.caller import Caller
from chassis.errors import NotFound
from services.billing import schema
from services.billing.domain import Balance, ReservationState
from services.billing.errors import ReservationExpired
from services.billing.service import Work, expiry
from tests.billing.samples import CALL, NO_CALL, picture, text

HOUR = timedelta(hours=1)


async def test_a_commit_charges_what_was_used_and_returns_the_rest(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a", 1000)], work_for=Work(run_id="run-1"))
    settled = await opened.settlement.commit(tasks, "a", 640, CALL)
    assert settled.state is ReservationState.COMMITTED
    assert settled.credits_charged == 7
    assert settled.settle_time is not None
    assert await opened.balance(tasks) == Balance(100, 93, 0, 7)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_more_words_than_reserved_cost_what_was_reserved(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a", 1000)])
    assert (await opened.settlement.commit(tasks, "a", 4000, CALL)).credits_charged == 10


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_nothing_used_costs_nothing(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a", 1000)])
    settled = await opened.settlement.commit(tasks, "a", 0, CALL)
    assert (settled.state, settled.credits_charged) == (ReservationState.COMMITTED, 0)
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_void_gives_everything_back(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a", 1000)])
    settled = await opened.settlement.void(tasks, "a", "PROVIDER_REFUSED")
    assert settled.state is ReservationState.VOIDED
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_settled_reservation_answers_how_it_was_settled(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a"), text("b")])
    committed = await opened.settlement.commit(tasks, "a", 500, CALL)
    voided = await opened.settlement.void(tasks, "b", "")
    facts = await opened.facts()
    assert await opened.settlement.commit(tasks, "a", 900, CALL) == committed
    assert await opened.settlement.void(tasks, "a", "") == committed
    assert await opened.settlement.commit(tasks, "b", 500, CALL) == voided
    assert await opened.settlement.void(tasks, "b", "") == voided
    assert await opened.balance(tasks) == Balance(100, 95, 0, 5)
    assert await opened.facts() == facts


async def test_commits_and_voids_in_parallel_end_a_reservation_once(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a")])
    calls = [opened.settlement.commit(tasks, "a", 1000, CALL) for _ in range(10)]
    calls += [opened.settlement.void(tasks, "a", "") for _ in range(10)]
    answers = await asyncio.gather(*calls)
    assert len(set(answers)) == 1
    charged = answers[0].credits_charged
    assert charged in (0, 10)
    assert await opened.balance(tasks) == Balance(100, 100 - charged, 0, charged)
    assert await opened.count(schema.ledger_transactions) == 3


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_an_unknown_key_cannot_be_settled(opened, tasks):
    with pytest.raises(NotFound):
        await opened.settlement.commit(tasks, "nothing", 1, NO_CALL)
    with pytest.raises(NotFound):
        await opened.settlement.void(tasks, "nothing", "")


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_another_account_cannot_settle_it(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a")])
    stranger = Caller.service("tasks", account_id="other")
    with pytest.raises(NotFound):
        await opened.settlement.commit(stranger, "a", 1, NO_CALL)
    with pytest.raises(NotFound):
        await opened.settlement.void(stranger, "a", "")


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_usage_says_what_was_done_for_the_credits(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a", 1000)], work_for=Work(run_id="run-1"))
    await opened.settlement.commit(tasks, "a", 640, CALL)
    [row] = await opened.database.read(
        lambda connection: connection.execute(select(schema.usage_records)).all()
    )
    assert (row.operation, row.credits, row.model) == ("content_generation", 7, "gpt-5-mini")
    assert (row.prompt_tokens, row.completion_tokens, row.object_id) == (900, 1400, "text-1")
    assert (row.site_id, row.run_id, row.request_id) == ("site-1", "run-1", "request-1")
    deductions = schema.ledger_transactions.c.id == row.transaction_id
    assert await opened.count(schema.ledger_transactions, deductions) == 1


async def test_what_nobody_settles_expires_once(opened, tasks, frozen):
    await opened.reservations.reserve(tasks, [text("a"), picture("b", 3)], ttl=HOUR)
    await opened.reservations.reserve(tasks, [text("later")], ttl=2 * HOUR)
    assert await opened.sweeper.sweep() == 0
    frozen.forward(hours=1)
    swept = await asyncio.gather(*(opened.sweeper.sweep() for _ in range(4)))
    assert sorted(swept) == [0, 0, 0, 2]
    assert (await opened.reservations.get(tasks, "a")).state is ReservationState.EXPIRED
    assert (await opened.reservations.get(tasks, "later")).state is ReservationState.OPEN
    assert await opened.balance(tasks) == Balance(100, 90, 10, 0)
    expired = [fact for fact in await opened.facts() if getattr(fact, "expired", False)]
    assert sorted(fact.reservation_key for fact in expired) == ["a", "b"]


async def test_a_sweep_takes_a_bounded_batch_and_goes_on(opened, tasks, frozen, monkeypatch):
    monkeypatch.setattr(expiry, "BATCH", 3)
    other = Caller.service("tasks", account_id="other")
    await opened.accounts.open(other)
    for who in (tasks, other):
        await opened.reservations.reserve(who, [picture(f"key-{n}") for n in range(4)], ttl=HOUR)
    frozen.forward(hours=2)
    assert [await opened.sweeper.sweep() for _ in range(2)] == [8, 0]
    assert await opened.balance(tasks) == await opened.balance(other) == Balance(100, 100, 0, 0)


@pytest.mark.parametrize("swept", [True, False])
async def test_a_commit_after_expiry_is_refused(opened, tasks, frozen, swept):
    await opened.reservations.reserve(tasks, [text("a")], ttl=HOUR)
    frozen.forward(hours=1)
    if swept:
        await opened.sweeper.sweep()
    with pytest.raises(ReservationExpired) as refused:
        await opened.settlement.commit(tasks, "a", 500, CALL)
    assert refused.value.reason == "RESERVATION_EXPIRED"
    await opened.sweeper.sweep()
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)
    assert (await opened.settlement.void(tasks, "a", "")).state is ReservationState.EXPIRED


async def test_work_that_comes_too_late_by_call_is_kept_and_reported_once(
    opened, tasks, frozen, caplog
):
    [late] = await opened.reservations.reserve(tasks, [text("a")], ttl=HOUR)
    await opened.reservations.reserve(tasks, [text("b")])
    frozen.forward(hours=1)
    for _ in range(2):
        # In one group: what is kept of the refused call does not undo the other.
        refused, settled = await asyncio.gather(
            opened.settlement.commit(tasks, "a", 500, CALL),
            opened.settlement.commit(tasks, "b", 500, CALL),
            return_exceptions=True,
        )
        assert isinstance(refused, ReservationExpired)
        assert settled.credits_charged == 5
    columns = schema.usage_records.c
    records = await opened.database.read(
        lambda connection: connection.execute(
            select(columns.credits, columns.model, columns.transaction_id).where(
                columns.reservation_id == late.id
            )
        ).all()
    )
    assert records == [(0, CALL.model, None)]
    assert "work was done for a reservation that had ended" in caplog.text
    assert await opened.drifts() == []


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_every_step_is_an_event(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a"), text("b")], work_for=Work(run_id="run-1"))
    await opened.settlement.commit(tasks, "a", 500, CALL)
    await opened.settlement.void(tasks, "b", "")
    facts = await opened.facts()
    assert [(type(fact).__name__, fact.credits, fact.available) for fact in facts] == [
        ("CreditsGranted", 100, 100),
        ("CreditsReserved", 10, 80),
        ("CreditsReserved", 10, 80),
        ("CreditsCommitted", 5, 85),
        ("CreditsVoided", 10, 95),
    ]
    committed = facts[3]
    assert (committed.run_id, committed.site_id, committed.sector_id) == (
        "run-1",
        "site-1",
        "sector-1",
    )
    assert (committed.reservation_key, committed.operation_type) == ("a", "content_generation")
