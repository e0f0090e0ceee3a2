"""What a new period brings and what it ends, seen together: nobody is told of less than is left."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from writer.events.v1 import credits_pb2

from services.billing import schema
from services.billing.domain import CREDITS_MAX, Balance, TransactionType
from services.billing.errors import TooManyCredits
from services.billing.service import Request
from tests.billing.samples import CALL, OPERATOR, picture


async def buy(billing, name, credits_bought, **fields):
    return await billing.grants.create(
        OPERATOR, Request(name, "bought"), TransactionType.PURCHASE, credits_bought, **fields
    )


async def spend(billing, who, key, credits_spent):
    await billing.reservations.reserve(who, [picture(key, credits_spent)])
    await billing.settlement.commit(who, key, credits_spent, CALL)


async def low(billing):
    return [
        fact.threshold_percent
        for fact in await billing.facts()
        if isinstance(fact, credits_pb2.CreditsLow)
    ]


async def left(billing):
    """What is left of the grants of each type."""
    columns = schema.grants.c
    rows = await billing.database.read(
        lambda connection: connection.execute(
            select(columns.transaction_type, columns.available).where(columns.available > 0)
        ).all()
    )
    return sorted((row.transaction_type, row.available) for row in rows)


@pytest.mark.parametrize("sweep", ["sweep_periods", "sweep_grants"])
async def test_a_renewal_of_unused_credits_warns_of_nothing(frozen, opened, tasks, sweep):
    await spend(opened, tasks, "a", 10)
    frozen.forward(days=28)
    await getattr(opened.sweeper, sweep)()
    assert await opened.balance(tasks) == Balance(110, 100, 0, 10)
    assert await low(opened) == []
    await spend(opened, tasks, "b", 85)
    assert await low(opened) == [20]


async def test_credits_that_return_after_the_period_warn_of_nothing(frozen, opened, tasks):
    await opened.reservations.reserve(tasks, [picture("a", 10)])
    frozen.forward(hours=12)
    await opened.reservations.reserve(tasks, [picture("b", 10)], ttl=timedelta(days=40))
    frozen.forward(days=28)
    # What returns takes the rest of its grant, whose time has come, with it.
    await opened.settlement.commit(tasks, "b", 4, CALL)
    await opened.sweeper.sweep_periods()
    assert (await opened.balance(tasks)).available == 100
    assert await low(opened) == []


async def test_plan_credits_burn_first_also_in_the_gap_before_the_sweep(frozen, opened, tasks):
    await buy(opened, "a", 50)
    frozen.forward(days=40)
    await opened.reservations.reserve(tasks, [picture("a", 10)])
    assert await left(opened) == [("purchase", 50), ("subscription", 90)]
    frozen.forward(days=40)
    await opened.corrections.adjust(OPERATOR, Request("b", "too many"), -20)
    assert await left(opened) == [("purchase", 50), ("subscription", 80)]


async def test_many_grants_that_ran_out_leave_nothing_of_the_old_period(frozen, opened, tasks):
    soon = frozen.moment + timedelta(days=3)
    for number in range(5):
        await buy(opened, f"{number}", 1, expire_time=soon)
    frozen.forward(days=28)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.billing.service.journal.LAPSED_MAX", 2)
        await opened.sweeper.sweep_periods()
    assert await left(opened) == [("purchase", 1)] * 4 + [("subscription", 100)]


async def test_a_plan_that_brings_more_than_an_account_can_hold_is_refused(opened, tasks):
    await buy(opened, "a", CREDITS_MAX - 100)
    with pytest.raises(TooManyCredits) as refusal:
        await opened.plans.change(tasks, "starter")
    assert [each.field for each in refusal.value.violations] == ["plan"]
    assert (await opened.accounts.get(tasks)).subscription.plan == "free"


async def test_a_period_begins_with_what_an_account_can_hold(frozen, opened, tasks):
    await buy(opened, "a", CREDITS_MAX - 100)
    await spend(opened, tasks, "a", 70)
    frozen.forward(days=28)
    assert await opened.sweeper.sweep_periods() == 1
    assert await opened.sweeper.sweep_periods() == 0
    account = await opened.accounts.get(tasks)
    assert account.balance == Balance(CREDITS_MAX, CREDITS_MAX - 70, 0, 70)
    assert account.subscription.period_credits == 30
    frozen.forward(days=31)
    await spend(opened, tasks, "b", 5)
    assert (await opened.balance(tasks)).granted == CREDITS_MAX
    assert await opened.drifts() == []


async def test_a_refused_call_keeps_the_period_it_began(frozen, opened, tasks):
    await spend(opened, tasks, "a", 100)
    frozen.forward(days=28)
    refused, made = await asyncio.gather(
        opened.reservations.reserve(tasks, [picture("b", 101)]),
        opened.reservations.reserve(tasks, [picture("c", 60)]),
        return_exceptions=True,
    )
    assert refused.metadata["available"] == "100"
    assert made[0].credits_reserved == 60
    frozen.forward(days=31)
    with pytest.raises(type(refused)):
        await opened.reservations.reserve(tasks, [picture("d", 500)])
    assert (await opened.accounts.get(tasks)).subscription.period == 2
    assert await opened.drifts() == []
