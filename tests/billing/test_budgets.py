"""Ceilings for sites, API keys and runs, checked where credits are reserved."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from writer.billing.v1 import budgets_pb2

from chassis.caller import Caller
from chassis.errors import AlreadyExists, EtagMismatch, Forbidden, NotFound, RequestIdReused
from chassis.pages import PageQuery
from chassis.replies import Reply
from services.billing.domain import Balance, BudgetScope
from services.billing.errors import InsufficientCredits
from services.billing.mapping import budget_to_proto
from services.billing.service import Work
from tests.billing.samples import ACCOUNT, CALL, picture

SITE, KEY, RUN = BudgetScope.SITE, BudgetScope.API_KEY, BudgetScope.RUN
WORK = Work(run_id="run-1", api_key_id="key-1")
MANAGER = Caller(issuer="gateway", principal="user:m", account_id=ACCOUNT, role="admin")
sqlite_only = pytest.mark.parametrize("dialect", ["sqlite"])


async def limit(billing, scope, scope_id, credits_allowed, who=MANAGER, request_id=""):
    request = budgets_pb2.CreateBudgetRequest(
        budget={"scope": scope.value, "scope_id": scope_id, "credits": credits_allowed},
        request_id=request_id,
    )
    reply = Reply(who, "CreateBudget", request, budgets_pb2.Budget, budget_to_proto)
    return await billing.budgets.create(who, scope, scope_id, credits_allowed, reply)


async def used(billing, budget):
    return (await billing.budgets.get(MANAGER, budget.id)).used


async def reserve(billing, who, key, quantity, work=WORK, **options):
    return await billing.reservations.reserve(
        who, [picture(key, quantity)], work_for=work, **options
    )


@pytest.mark.parametrize(("scope", "scope_id"), [(SITE, "site-1"), (KEY, "key-1"), (RUN, "run-1")])
async def test_ten_parallel_reserves_of_three_under_a_ceiling_of_three_are_one(
    opened, tasks, scope, scope_id
):
    budget = await limit(opened, scope, scope_id, 3)

    async def attempt(number):
        try:
            await reserve(opened, tasks, f"key-{number}", 3)
        except InsufficientCredits as refused:
            return refused.metadata
        return None

    outcomes = await asyncio.gather(*(attempt(number) for number in range(10)))
    refusals = [outcome for outcome in outcomes if outcome]
    expected = {"required": "3", "available": "0", "limit": scope.value, "limit_id": scope_id}
    assert refusals == [expected] * 9
    assert await opened.balance(tasks) == Balance(100, 97, 3, 0)
    assert await used(opened, budget) == 3
    assert await opened.drifts() == []


async def test_what_was_charged_counts_and_what_returned_does_not(opened, tasks, frozen):
    budget = await limit(opened, SITE, "site-1", 20)
    for key in ("a", "b", "c"):
        await reserve(opened, tasks, key, 6, ttl=timedelta(hours=1))
    assert await used(opened, budget) == 18
    await opened.settlement.commit(tasks, "a", 2, CALL)
    await opened.settlement.void(tasks, "b", "")
    frozen.forward(hours=1)
    await opened.sweeper.sweep()
    assert await used(opened, budget) == 2
    await reserve(opened, tasks, "d", 18)
    with pytest.raises(InsufficientCredits):
        await reserve(opened, tasks, "e", 1)
    assert await opened.drifts() == []


@sqlite_only
async def test_the_first_ceiling_that_is_too_small_is_named(opened, tasks):
    await limit(opened, RUN, "run-1", 5)
    await limit(opened, KEY, "key-1", 6)

    async def refused(quantity):
        with pytest.raises(InsufficientCredits) as refusal:
            await reserve(opened, tasks, f"key-{quantity}", quantity)
        return refusal.value

    assert [(await refused(n)).metadata["limit"] for n in (101, 7, 6)] == [
        "account",
        "api_key",
        "run",
    ]
    assert "under the budget of its api key" in (await refused(7)).message
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)


@sqlite_only
async def test_other_sites_keys_and_runs_are_not_limited(opened, tasks):
    for scope, scope_id in ((SITE, "site-1"), (KEY, "key-1"), (RUN, "run-1")):
        await limit(opened, scope, scope_id, 0)
    elsewhere = replace(tasks, site_id="site-2")
    await reserve(opened, elsewhere, "a", 5, Work(run_id="run-2", api_key_id="key-2"))
    await reserve(opened, elsewhere, "b", 5, Work())
    with pytest.raises(InsufficientCredits):
        await reserve(opened, elsewhere, "c", 1)
    other = Caller.service("tasks", account_id="other", site_id="site-1")
    await opened.accounts.open(other)
    await reserve(opened, other, "d", 5)


@sqlite_only
async def test_what_costs_nothing_passes_a_ceiling_of_nothing(opened, tasks):
    await limit(opened, SITE, "site-1", 0)
    [held] = await reserve(opened, tasks, "a", 0)
    assert held.credits_reserved == 0


@sqlite_only
async def test_what_was_used_before_counts_from_the_start(frozen, opened, tasks):
    await reserve(opened, tasks, "a", 10)
    await reserve(opened, tasks, "b", 10)
    await reserve(opened, tasks, "c", 10)
    await opened.settlement.commit(tasks, "a", 4, CALL)
    await opened.settlement.void(tasks, "b", "")
    budgets = [
        await limit(opened, *which, 100)
        for which in ((SITE, "site-1"), (KEY, "key-1"), (RUN, "run-1"))
    ]
    assert [budget.used for budget in budgets] == [14, 14, 14]
    await opened.settlement.commit(tasks, "c", 1, CALL)
    assert [await used(opened, budget) for budget in budgets] == [5, 5, 5]


@sqlite_only
async def test_a_month_begins_from_nothing_and_a_run_goes_on(frozen, opened, tasks):
    site = await limit(opened, SITE, "site-1", 10)
    run = await limit(opened, RUN, "run-1", 12)
    week = timedelta(days=7)
    await reserve(opened, tasks, "january", 10, ttl=week)
    frozen.forward(days=1)
    assert (await used(opened, site), await used(opened, run)) == (0, 10)
    await reserve(opened, tasks, "february", 2, ttl=week)
    assert (await used(opened, site), await used(opened, run)) == (2, 12)
    # What returns to a month that is over is no room in this one.
    await opened.settlement.void(tasks, "january", "")
    assert (await used(opened, site), await used(opened, run)) == (2, 2)
    assert await opened.drifts() == []


async def test_a_run_brings_its_cap_and_may_change_it(opened, tasks):
    capped = replace(WORK, run_cap=10)
    await reserve(opened, tasks, "before", 4)
    await reserve(opened, tasks, "a", 6, capped)
    for work in (WORK, capped):
        with pytest.raises(InsufficientCredits) as refused:
            await reserve(opened, tasks, "b", 1, work)
        assert refused.value.metadata["limit"] == "run"
    await reserve(opened, tasks, "b", 5, replace(WORK, run_cap=15))
    page, _ = await opened.budgets.page(MANAGER, listing(), RUN, "run-1")
    assert [(row.credits, row.used) for row in page.rows] == [(15, 15)]
    assert await opened.drifts() == []


@sqlite_only
async def test_work_that_does_not_know_its_key_has_that_of_its_run(opened, tasks):
    await limit(opened, KEY, "key-1", 5)
    await reserve(opened, tasks, "a", 3)
    unknown = Work(run_id="run-1")
    with pytest.raises(InsufficientCredits) as refused:
        await reserve(opened, tasks, "b", 3, unknown)
    assert refused.value.metadata["limit_id"] == "key-1"
    [held] = await reserve(opened, tasks, "b", 2, unknown)
    assert held.api_key_id == "key-1"
    [free] = await reserve(opened, tasks, "c", 3, Work(run_id="run-1", api_key_id=""))
    assert free.api_key_id == ""
    [without] = await reserve(opened, tasks, "d", 3, Work(run_id="run-9"))
    assert without.api_key_id == ""


def listing(**fields):
    return PageQuery.of(budgets_pb2.ListBudgetsRequest(**fields))


@sqlite_only
async def test_ceilings_are_changed_by_revision_and_removed(opened, tasks):
    budget = await limit(opened, SITE, "site-1", 5)
    await reserve(opened, tasks, "a", 5)
    with pytest.raises(EtagMismatch):
        await opened.budgets.update(MANAGER, budget.id, 6, "7")
    changed = await opened.budgets.update(MANAGER, budget.id, 6, "1")
    assert (changed.revision, changed.credits, changed.used) == (2, 6, 5)
    assert await opened.budgets.update(MANAGER, budget.id, 6, "") == changed
    await reserve(opened, tasks, "b", 1)
    with pytest.raises(EtagMismatch):
        await opened.budgets.delete(MANAGER, budget.id, "1")
    await opened.budgets.delete(MANAGER, budget.id, "2")
    for gone in (
        opened.budgets.get(MANAGER, budget.id),
        opened.budgets.delete(MANAGER, budget.id, ""),
        opened.budgets.update(MANAGER, budget.id, 1, ""),
    ):
        with pytest.raises(NotFound):
            await gone
    await reserve(opened, tasks, "c", 90)


@sqlite_only
async def test_a_thing_has_one_ceiling_and_a_request_makes_one(opened):
    first = await limit(opened, SITE, "site-1", 5, request_id="r")
    assert await limit(opened, SITE, "site-1", 5, request_id="r") == first
    with pytest.raises(RequestIdReused):
        await limit(opened, SITE, "site-1", 6, request_id="r")
    with pytest.raises(AlreadyExists) as refused:
        await limit(opened, SITE, "site-1", 6)
    assert refused.value.metadata["id"] == first.id


@sqlite_only
async def test_a_limited_key_and_another_account_see_only_their_own(opened):
    mine = await limit(opened, SITE, "site-1", 5)
    await limit(opened, SITE, "site-2", 5)
    await limit(opened, RUN, "run-1", 5)

    async def seen(who):
        page, _ = await opened.budgets.page(who, listing(), None, "")
        return sorted(row.scope_id for row in page.rows)

    assert await seen(MANAGER) == ["run-1", "site-1", "site-2"]
    limited = replace(MANAGER, allowed_sites=("site-1",))
    assert await seen(limited) == ["site-1"]
    assert await seen(replace(MANAGER, allowed_sites=())) == []
    for scope, scope_id in ((SITE, "site-2"), (RUN, "run-1")):
        with pytest.raises(Forbidden):
            await limit(opened, scope, scope_id, 1, who=limited)
    stranger = replace(MANAGER, account_id="other")
    assert await seen(stranger) == []
    with pytest.raises(NotFound):
        await opened.budgets.get(stranger, mine.id)
