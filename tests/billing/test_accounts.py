"""Opening accounts, and what their transactions add up to."""

import asyncio

import pytest
from writer.billing.v1 import credits_pb2, usage_pb2

from chassis.caller import Caller
from chassis.errors import PageTokenInvalid
from chassis.pages import PageQuery
from services.billing import schema
from services.billing.domain import Balance, Operation, TransactionType
from services.billing.errors import UnknownPlan
from services.billing.service import Work
from services.billing.store import UsageFilter
from tests.billing.samples import ACCOUNT, CALL, picture, text

ACCOUNT_WIDE = Caller.service("tasks", account_id=ACCOUNT)


def query(**fields):
    return PageQuery.of(credits_pb2.ListTransactionsRequest(**fields))


def usage_query(**fields):
    return PageQuery.of(usage_pb2.ListUsageRequest(**fields))


async def test_a_new_account_starts_with_the_credits_of_its_plan(billing, tasks, frozen):
    account = await billing.accounts.open(tasks)
    assert account.balance == Balance(100, 100, 0, 0)
    assert account.subscription.plan == "free"
    assert account.subscription.period_start_time == frozen.moment
    assert account.subscription.period_end_time.isoformat() == "2026-02-28T12:00:00+00:00"
    assert await billing.accounts.get(tasks) == account


async def test_an_account_is_opened_once_however_often_it_is_asked_for(billing, tasks):
    plans = ["starter"] * 8
    answers = await asyncio.gather(*(billing.accounts.open(tasks, plan) for plan in plans))
    again = await billing.accounts.open(tasks, "growth")
    assert {answer.balance for answer in [*answers, again]} == {Balance(1000, 1000, 0, 0)}
    assert again.subscription.plan == "starter"
    assert await billing.count(schema.grants) == 1
    assert len(await billing.facts()) == 1


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_an_unknown_plan_opens_nothing(billing, tasks):
    with pytest.raises(UnknownPlan):
        await billing.accounts.open(tasks, "gold")
    assert (await billing.accounts.get(tasks)).subscription is None


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_the_listed_amounts_add_up_to_what_is_available(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a"), picture("b", 3), picture("c")])
    await opened.settlement.commit(tasks, "a", 640, CALL)
    await opened.settlement.commit(tasks, "b", 2, CALL)
    await opened.settlement.void(tasks, "c", "")
    page = await opened.accounts.transactions(ACCOUNT_WIDE, query(order_by="created_at"), None)
    assert [(row.transaction_type, row.amount) for row in page.rows] == [
        ("subscription", 100),
        ("deduction", -7),
        ("deduction", -2),
    ]
    balance = await opened.balance(tasks)
    assert balance.reserved == 0
    assert sum(row.amount for row in page.rows) == balance.available
    assert page.rows[1].description == "Content generation: 640 words."


async def test_transactions_come_newest_first_page_by_page(opened, tasks):
    for number in range(5):
        await opened.reservations.reserve(tasks, [picture(f"key-{number}")])
        await opened.settlement.commit(tasks, f"key-{number}", 1, CALL)
    seen, token = [], ""
    while True:
        page = await opened.accounts.transactions(
            ACCOUNT_WIDE, query(page_size=2, page_token=token), None
        )
        assert page.total_size == 6
        seen += [row.id for row in page.rows]
        token = page.next_token
        if not token:
            break
    whole = await opened.accounts.transactions(ACCOUNT_WIDE, query(), None)
    assert seen == [row.id for row in whole.rows]
    assert [row.amount for row in whole.rows][-1] == 100
    with pytest.raises(PageTokenInvalid):
        await opened.accounts.transactions(ACCOUNT_WIDE, query(page_token="x"), None)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_lists_can_be_filtered(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a")], work_for=Work(run_id="run-1"))
    await opened.reservations.reserve(tasks, [picture("b")], work_for=Work(run_id="run-2"))
    await opened.settlement.commit(tasks, "a", 100, CALL)
    await opened.settlement.commit(tasks, "b", 1, CALL)
    only = TransactionType.SUBSCRIPTION
    grants = await opened.accounts.transactions(ACCOUNT_WIDE, query(), only)
    assert [row.amount for row in grants.rows] == [100]
    by_run = await opened.usage.page(tasks, usage_query(), UsageFilter(run_id="run-2"))
    assert [row.operation for row in by_run.rows] == ["image_generation"]
    texts = UsageFilter(operation=Operation.CONTENT_GENERATION)
    by_operation = await opened.usage.page(tasks, usage_query(), texts)
    assert [row.run_id for row in by_operation.rows] == ["run-1"]


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_chosen_or_granted_site_narrows_what_is_listed(opened, tasks):
    elsewhere = Caller.service("tasks", account_id=ACCOUNT, site_id="site-2")
    await opened.reservations.reserve(tasks, [text("a", 100)])
    await opened.reservations.reserve(elsewhere, [text("b", 200)])
    await opened.settlement.commit(tasks, "a", 100, CALL)
    await opened.settlement.commit(elsewhere, "b", 200, CALL)

    async def amounts(**fields):
        who = Caller(issuer="gateway", principal="user:1", account_id=ACCOUNT, **fields)
        page = await opened.accounts.transactions(who, query(order_by="created_at"), None)
        usage = await opened.usage.page(who, usage_query(order_by="created_at"), UsageFilter())
        return [row.amount for row in page.rows], [row.credits for row in usage.rows]

    assert await amounts() == ([100, -1, -2], [1, 2])
    assert await amounts(site_id="site-2") == ([-2], [2])
    assert await amounts(allowed_sites=("site-1",)) == ([100, -1], [1])
    assert await amounts(allowed_sites=()) == ([100], [])


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_another_account_sees_nothing_of_this_one(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a")])
    await opened.settlement.commit(tasks, "a", 100, CALL)
    stranger = Caller.service("tasks", account_id="other")
    assert await opened.balance(stranger) == Balance()
    assert (await opened.accounts.transactions(stranger, query(), None)).total_size == 0
    assert (await opened.usage.page(stranger, usage_query(), UsageFilter())).total_size == 0
    nobody = Caller(issuer="gateway", principal="anonymous", account_id="")
    assert await opened.balance(nobody) == Balance()


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_plans_and_prices_are_those_of_the_domain(billing):
    plans = [(plan.name, plan.credits) for plan in await billing.catalogue.plans()]
    assert plans == [
        ("free", 100),
        ("starter", 1000),
        ("growth", 2000),
        ("scale", 4000),
        ("enterprise", 10000),
    ]
    prices = {
        (price.operation.value, price.variant): (price.unit.value, price.credits)
        for price in await billing.catalogue.prices()
    }
    assert prices == {
        ("content_generation", ""): ("per_100_words", 1),
        ("image_prompt_extraction", ""): ("per_request", 2),
        ("image_generation", "standard"): ("per_image", 1),
        ("image_generation", "premium"): ("per_image", 4),
        ("clustering", ""): ("per_request", 1),
        ("idea_generation", ""): ("per_request", 2),
        ("linking", ""): ("per_request", 1),
        ("optimization", ""): ("per_request", 1),
    }
