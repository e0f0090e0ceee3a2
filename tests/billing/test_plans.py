"""Plans and their periods: granted once, whenever and however often somebody looks."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update
from writer.events.v1 import credits_pb2

from chassis.caller import Caller
from chassis.errors import Forbidden, NotFound
from services.billing import schema
from services.billing.domain import Balance, TransactionType
from services.billing.errors import InsufficientCredits, UnknownPlan
from services.billing.service import Request, expiry
from tests.billing.samples import ACCOUNT, CALL, OPERATOR, picture

sqlite_only = pytest.mark.parametrize("dialect", ["sqlite"])


def kinds(facts):
    return [type(fact).__name__.removeprefix("Credits") for fact in facts]


async def spend(billing, who, key, credits_spent):
    await billing.reservations.reserve(who, [picture(key, credits_spent)])
    await billing.settlement.commit(who, key, credits_spent, CALL)


async def test_a_period_begins_once_however_many_look(frozen, opened, tasks):
    await spend(opened, tasks, "a", 30)
    frozen.forward(days=28)
    swept = await asyncio.gather(*(opened.sweeper.sweep_periods() for _ in range(5)))
    assert sorted(swept) == [0, 0, 0, 0, 1]
    account = await opened.accounts.get(tasks)
    assert account.balance == Balance(130, 100, 0, 30)
    assert account.subscription.period == 1
    assert account.subscription.period_end_time.isoformat() == "2026-03-31T12:00:00+00:00"
    assert kinds(await opened.facts())[-2:] == ["Expired", "Granted"]
    assert await opened.sweeper.sweep_periods() == 0
    assert await opened.drifts() == []


async def test_missed_periods_are_not_granted_afterwards(frozen, opened, tasks):
    await spend(opened, tasks, "a", 30)
    frozen.forward(days=149)
    assert await opened.sweeper.sweep_periods() == 1
    account = await opened.accounts.get(tasks)
    assert account.balance == Balance(130, 100, 0, 30)
    # 29 June is in the period from 31 May, the fourth after the one from 31 January.
    assert account.subscription.period == 4
    assert account.subscription.period_start_time.isoformat() == "2026-05-31T12:00:00+00:00"
    assert account.subscription.period_end_time > frozen.moment
    assert await opened.count(schema.grants) == 2


async def test_a_call_in_the_gap_before_the_sweep_begins_the_period_itself(frozen, opened, tasks):
    await spend(opened, tasks, "a", 100)
    frozen.forward(days=28)
    calls = (opened.reservations.reserve(tasks, [picture(f"{n}", 30)]) for n in range(4))
    outcomes = await asyncio.gather(*calls, opened.sweeper.sweep_periods(), return_exceptions=True)
    assert sum(isinstance(outcome, InsufficientCredits) for outcome in outcomes) == 1
    assert await opened.balance(tasks) == Balance(200, 10, 90, 100)
    assert await opened.drifts() == []


@sqlite_only
async def test_one_account_that_fails_does_not_hold_up_the_others(
    frozen, opened, tasks, monkeypatch, caplog
):
    other = Caller.service("tasks", account_id="other")
    await opened.accounts.open(other)
    renew = expiry.renew_if_due

    def fail_for_one(journal):
        if journal.caller.account_id == ACCOUNT:
            raise RuntimeError("broken")
        return renew(journal)

    monkeypatch.setattr(expiry, "renew_if_due", fail_for_one)
    frozen.forward(days=28)
    assert await opened.sweeper.sweep_periods() == 1
    assert (await opened.accounts.get(other)).subscription.period == 1
    assert "could not be swept" in caplog.text


@sqlite_only
async def test_bought_credits_stay_when_a_period_ends(frozen, opened, tasks):
    request = Request("one", "invoice")
    await opened.grants.create(OPERATOR, request, TransactionType.PURCHASE, 50)
    frozen.forward(days=28)
    await opened.sweeper.sweep_periods()
    assert await opened.balance(tasks) == Balance(150, 150, 0, 0)


async def test_a_larger_plan_begins_at_once_with_the_difference(frozen, opened, tasks):
    await spend(opened, tasks, "a", 40)
    answers = await asyncio.gather(*(opened.plans.change(tasks, "starter") for _ in range(5)))
    assert {answer.balance for answer in answers} == {Balance(1000, 960, 0, 40)}
    assert {answer.subscription.plan for answer in answers} == {"starter"}
    grown = await opened.plans.change(tasks, "growth")
    assert grown.balance == Balance(2000, 1960, 0, 40)
    frozen.forward(days=28)
    await opened.sweeper.sweep_periods()
    assert (await opened.accounts.get(tasks)).balance == Balance(2040, 2000, 0, 40)


@sqlite_only
async def test_a_smaller_plan_begins_with_the_next_period(frozen, opened, tasks):
    await opened.plans.change(tasks, "starter")
    smaller = await opened.plans.change(tasks, "free")
    assert smaller.balance.available == 1000
    assert (smaller.subscription.plan, smaller.subscription.next_plan) == ("starter", "free")
    # Up and down again within a period brings nothing twice.
    again = await opened.plans.change(tasks, "starter")
    assert again.balance.available == 1000
    assert (again.subscription.plan, again.subscription.next_plan) == ("starter", "")
    await opened.plans.change(tasks, "free")
    frozen.forward(days=28)
    await opened.sweeper.sweep_periods()
    account = await opened.accounts.get(tasks)
    assert account.balance == Balance(100, 100, 0, 0)
    assert (account.subscription.plan, account.subscription.next_plan) == ("free", "")


@sqlite_only
@pytest.mark.parametrize("sites", [("site-1",), ()])
async def test_who_is_limited_to_some_sites_changes_no_plan(opened, tasks, sites):
    limited = replace(OPERATOR, role="admin", acting_for="", allowed_sites=sites)
    # Also a plan that there is not: nothing is said of plans.
    for plan in ("starter", "free", "no such"):
        with pytest.raises(Forbidden) as refused:
            await opened.plans.change(limited, plan)
        assert refused.value.reason == "SITE_FORBIDDEN"
    account = await opened.accounts.get(tasks)
    assert (account.subscription.plan, account.balance.available) == ("free", 100)


@sqlite_only
async def test_a_change_after_the_period_begins_the_present_one_first(frozen, opened, tasks):
    frozen.forward(days=28)
    account = await opened.plans.change(tasks, "starter")
    assert account.subscription.period == 1
    assert account.balance == Balance(1000, 1000, 0, 0)


@sqlite_only
async def test_unknown_plans_and_accounts_are_refused(opened, tasks):
    with pytest.raises(UnknownPlan):
        await opened.plans.change(tasks, "gold")
    with pytest.raises(NotFound):
        await opened.plans.change(Caller.service("tasks", account_id="other"), "starter")


def low(facts):
    return [
        (fact.threshold_percent, fact.threshold_credits, fact.available)
        for fact in facts
        if isinstance(fact, credits_pb2.CreditsLow)
    ]


async def test_low_credits_are_told_once_for_each_threshold_and_period(frozen, opened, tasks):
    await spend(opened, tasks, "a", 79)
    assert low(await opened.facts()) == []
    await opened.reservations.reserve(tasks, [picture("b", 1)])
    assert low(await opened.facts()) == [(20, 20, 20)]
    # Credits that come back and go again cross it again, and it is not told again.
    await opened.settlement.void(tasks, "b", "")
    await spend(opened, tasks, "c", 5)
    assert low(await opened.facts()) == [(20, 20, 20)]
    await spend(opened, tasks, "d", 16)
    assert low(await opened.facts()) == [(20, 20, 20), (10, 10, 0), (0, 0, 0)]
    frozen.forward(days=28)
    await opened.sweeper.sweep_periods()
    await spend(opened, tasks, "e", 85)
    assert low(await opened.facts())[3:] == [(20, 20, 15)]


@sqlite_only
async def test_thresholds_survive_the_loss_of_the_projection(frozen, opened, tasks):
    await spend(opened, tasks, "a", 85)
    await opened.execute(schema.account_balances.delete())
    await spend(opened, tasks, "b", 2)
    assert low(await opened.facts()) == [(20, 20, 15)]
    await spend(opened, tasks, "c", 3)
    assert low(await opened.facts()) == [(20, 20, 15), (10, 10, 10)]


@sqlite_only
async def test_thresholds_follow_the_plan(frozen, opened, tasks):
    await spend(opened, tasks, "a", 85)
    await opened.plans.change(tasks, "starter")
    # 20 % has been told in this period, whatever it was 20 % of.
    await spend(opened, tasks, "b", 800)
    assert low(await opened.facts()) == [(20, 20, 15)]
    await spend(opened, tasks, "c", 15)
    assert low(await opened.facts()) == [(20, 20, 15), (10, 100, 100)]


@sqlite_only
async def test_credits_without_a_plan_are_never_low(billing, tasks):
    request = Request("one", "invoice")
    await billing.grants.create(OPERATOR, request, TransactionType.PURCHASE, 50)
    await spend(billing, tasks, "a", 50)
    assert low(await billing.facts()) == []
    await billing.accounts.open(tasks)
    await spend(billing, tasks, "b", 90)
    assert [percent for percent, _, _ in low(await billing.facts())] == [20, 10]


@sqlite_only
async def test_a_plan_without_credits_grants_nothing(frozen, opened, tasks):
    await opened.execute(
        update(schema.plans).where(schema.plans.c.name == "free").values(credits=0)
    )
    frozen.forward(days=28)
    await opened.sweeper.sweep_periods()
    account = await opened.accounts.get(tasks)
    assert (account.balance, account.subscription.period) == (Balance(), 1)
    assert account.subscription.period_end_time - frozen.moment > timedelta(days=27)
