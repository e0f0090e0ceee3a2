"""Refunds and adjustments: new transactions that name the old one, each made once."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from writer.billing.v1 import credits_pb2 as contract
from writer.events.v1 import credits_pb2

from chassis import clock, replies
from chassis.caller import Caller
from chassis.errors import InvalidTransition, NotFound, RequestIdReused
from chassis.ids import new_id
from chassis.pages import PageQuery
from services.billing import schema
from services.billing.domain import Balance, TransactionType
from services.billing.errors import InsufficientCredits, RefundExceedsCharge
from services.billing.service import Request
from tests.billing.samples import CALL, OPERATOR, picture

sqlite_only = pytest.mark.parametrize("dialect", ["sqlite"])


async def deduction(billing, who, key, reserved, charged=None):
    """The transaction that charged it."""
    await billing.reservations.reserve(who, [picture(key, reserved)])
    held = await billing.settlement.commit(who, key, charged or reserved, CALL)
    table = schema.ledger_transactions
    statement = select(table.c.id).where(
        table.c.reservation_id == held.id, table.c.transaction_type == "deduction"
    )
    return await billing.database.read(lambda connection: connection.scalar(statement))


async def refund(billing, transaction_id, credits_returned=0, name="refund-1", reason="it was bad"):
    return await billing.corrections.refund(
        OPERATOR, Request(name, reason), transaction_id, credits_returned
    )


async def adjust(billing, credits_added, name="adjust-1", corrected_id=""):
    return await billing.corrections.adjust(
        OPERATOR, Request(name, "a mistake"), credits_added, corrected_id
    )


async def listed_sum(billing):
    query = PageQuery.of(contract.ListTransactionsRequest(page_size=100))
    page = await billing.accounts.transactions(OPERATOR, query, None)
    return sum(row.amount for row in page.rows)


async def test_a_refund_asked_for_many_times_is_one(opened, tasks):
    charged = await deduction(opened, tasks, "a", 30)
    answers = await asyncio.gather(*(refund(opened, charged, 12) for _ in range(20)))
    assert {answer.id for answer in answers} == {answers[0].id}
    assert await opened.balance(tasks) == Balance(100, 82, 0, 18)
    row = answers[0]
    assert (row.transaction_type, row.amount, row.corrected_transaction_id) == (
        "refund",
        12,
        charged,
    )
    assert (row.reason, row.principal) == ("it was bad", "user:operator@operators")
    for other in ((charged, 13), (new_id(), 12)):
        with pytest.raises(RequestIdReused):
            await refund(opened, *other)
    with pytest.raises(RequestIdReused):
        await refund(opened, charged, 12, reason="another reason")
    refunded = [f for f in await opened.facts() if isinstance(f, credits_pb2.CreditsRefunded)]
    assert [(fact.credits, fact.available) for fact in refunded] == [(12, 82)]
    assert await listed_sum(opened) == 82
    assert await opened.drifts() == []


@sqlite_only
async def test_a_refund_is_still_one_when_answers_have_been_forgotten(opened, tasks):
    charged = await deduction(opened, tasks, "a", 30)
    first = await refund(opened, charged, 12)
    await opened.database.write(lambda c: replies.forget(c, clock.now() + timedelta(days=60)))
    assert await refund(opened, charged, 12) == first
    assert (await opened.balance(tasks)).spent == 18


async def test_refunds_in_parallel_never_exceed_the_charge(opened, tasks):
    charged = await deduction(opened, tasks, "a", 30)
    calls = (refund(opened, charged, 20, f"refund-{n}") for n in range(6))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, RefundExceedsCharge)]
    assert [refusal.metadata["available"] for refusal in refused] == ["10"] * 5
    assert await opened.balance(tasks) == Balance(100, 90, 0, 10)
    assert (await refund(opened, charged, name="the rest")).amount == 10
    with pytest.raises(RefundExceedsCharge):
        await refund(opened, charged, name="nothing is left")
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)
    assert await opened.drifts() == []


async def test_what_burned_last_comes_back_first(opened, tasks):
    request = Request("bought", "invoice")
    bought = await opened.grants.create(OPERATOR, request, TransactionType.PURCHASE, 50)
    charged = await deduction(opened, tasks, "a", 130)
    row = await refund(opened, charged, 40)
    _, shares = await opened.accounts.transaction(OPERATOR, row.id)
    by_grant = {share.grant_id: share.credits for share in shares}
    assert by_grant.pop(bought.id) == 30
    assert list(by_grant.values()) == [10]
    await refund(opened, charged, name="the rest")
    assert await opened.balance(tasks) == Balance(150, 150, 0, 0)
    assert await opened.drifts() == []


async def test_credits_of_ended_grants_come_back_for_a_while(frozen, opened, tasks):
    request = Request("bought", "invoice")
    await opened.grants.create(OPERATOR, request, TransactionType.PURCHASE, 50)
    charged = await deduction(opened, tasks, "a", 120)
    frozen.forward(days=40)
    await opened.sweeper.sweep_periods()
    assert await opened.balance(tasks) == Balance(250, 130, 0, 120)
    row = await refund(opened, charged)
    assert row.amount == 120
    assert await opened.balance(tasks) == Balance(250, 250, 0, 0)
    grants = await opened.database.read(
        lambda connection: connection.execute(
            select(schema.grants).where(schema.grants.c.transaction_type == "refund")
        ).all()
    )
    assert [(grant.credits, grant.available, grant.priority) for grant in grants] == [
        (100, 100, 10)
    ]
    assert grants[0].expire_time == frozen.moment + timedelta(days=30)
    assert await refund(opened, charged) == row
    frozen.forward(days=30)
    await opened.sweeper.sweep_grants()
    assert await opened.drifts() == []


@sqlite_only
async def test_only_deductions_of_the_account_can_be_refunded(opened, tasks):
    charged = await deduction(opened, tasks, "a", 30)
    table = schema.ledger_transactions
    statement = select(table.c.id).where(table.c.transaction_type == "subscription")
    granted = await opened.database.read(lambda connection: connection.scalar(statement))
    with pytest.raises(InvalidTransition):
        await refund(opened, granted)
    with pytest.raises(NotFound):
        await refund(opened, new_id())
    stranger = Caller(issuer="gateway", principal="user:x", account_id="other", role="developer")
    with pytest.raises(NotFound):
        await opened.corrections.refund(stranger, Request("x", "y"), charged)
    # A refusal uses nothing up: the same request goes through with what is right.
    assert (await refund(opened, charged)).amount == 30


@sqlite_only
async def test_usage_and_deductions_agree_after_a_refund(opened, tasks):
    charged = await deduction(opened, tasks, "a", 30, 20)
    await refund(opened, charged, 5)
    [drifted] = [await opened.drifts()]
    assert drifted == []
    assert await opened.balance(tasks) == Balance(100, 85, 0, 15)


async def test_an_adjustment_adds_a_grant_or_takes_what_is_available(opened, tasks):
    added = await asyncio.gather(*(adjust(opened, 20) for _ in range(6)))
    assert {row.id for row in added} == {added[0].id}
    assert await opened.balance(tasks) == Balance(120, 120, 0, 0)
    await opened.reservations.reserve(tasks, [picture("held", 90)])
    taken = await adjust(opened, -30, "adjust-2", added[0].id)
    assert (taken.amount, taken.transaction_type) == (-30, "adjustment")
    assert taken.corrected_transaction_id == added[0].id
    assert await opened.balance(tasks) == Balance(90, 0, 90, 0)
    with pytest.raises(InsufficientCredits) as refused:
        await adjust(opened, -1, "adjust-3")
    assert refused.value.metadata["available"] == "0"
    with pytest.raises(RequestIdReused):
        await adjust(opened, -31, "adjust-2")
    with pytest.raises(NotFound):
        await adjust(opened, 5, "adjust-4", new_id())
    await opened.settlement.void(tasks, "held", "")
    assert await listed_sum(opened) == 90
    assert await opened.drifts() == []
