"""Where credits come from: which grant pays, what returns, expires and is taken back."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from writer.billing.v1 import grants_pb2
from writer.events.v1 import credits_pb2

from chassis.caller import Caller
from chassis.errors import InvalidFields, NotFound, RequestIdReused
from chassis.pages import PageQuery
from services.billing import mapping, schema
from services.billing.domain import CREDITS_MAX, Balance, TransactionType
from services.billing.errors import InsufficientCredits, TooManyCredits
from services.billing.service import Request
from services.billing.store import grants
from tests.billing.samples import ACCOUNT, CALL, OPERATOR, picture

PURCHASE = TransactionType.PURCHASE
DAY = timedelta(days=1)


async def bought(billing, credits_granted, name="bought", **fields):
    request = Request(name, "paid by invoice 7")
    return await billing.grants.create(OPERATOR, request, PURCHASE, credits_granted, **fields)


async def left(billing):
    """What is left of each grant, by its size."""
    rows = await billing.database.read(
        lambda connection: connection.execute(
            select(schema.grants.c.credits, schema.grants.c.available)
        ).all()
    )
    return dict(rows)


async def spend(billing, who, key, reserved, charged):
    await billing.reservations.reserve(who, [picture(key, reserved)])
    return await billing.settlement.commit(who, key, charged, CALL)


async def test_plan_credits_burn_before_bought_ones(opened, tasks):
    await bought(opened, 50)
    await spend(opened, tasks, "a", 120, 110)
    assert await left(opened) == {100: 0, 50: 40}
    assert await opened.balance(tasks) == Balance(150, 40, 0, 110)
    assert await opened.drifts() == []


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_grants_burn_by_priority_then_soonest_expiry_then_age(frozen, billing, tasks):
    await billing.execute(update(schema.plans).values(credits=8))
    await billing.accounts.open(tasks)
    soon, late = frozen.moment + DAY, frozen.moment + 2 * DAY
    for size, fields in {
        1: {"priority": 60},
        2: {},
        3: {"expire_time": late},
        4: {"expire_time": soon},
        5: {"priority": 1},
        6: {"expire_time": soon},
        7: {},
    }.items():
        frozen.forward(seconds=1)
        await bought(billing, size, f"grant-{size}", **fields)
    order = []
    for number in range(36):
        before = await left(billing)
        await spend(billing, tasks, f"key-{number}", 1, 1)
        after = await left(billing)
        [burned] = [size for size in before if before[size] != after[size]]
        if burned not in order:
            order.append(burned)
    assert order == [5, 8, 4, 6, 3, 2, 7, 1]


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_transaction_says_which_grants_paid(opened, tasks):
    grant = await bought(opened, 50)
    await spend(opened, tasks, "a", 130, 110)
    page = await opened.accounts.transactions(tasks, listing(), TransactionType.DEDUCTION)
    row, shares = await opened.accounts.transaction(tasks, page.rows[0].id)
    assert row.amount == -110
    assert sorted(share.credits for share in shares) == [-100, -10]
    assert {share.grant_id: share.credits for share in shares}[grant.id] == -10
    stranger = Caller.service("tasks", account_id="other")
    with pytest.raises(NotFound):
        await opened.accounts.transaction(stranger, row.id)


def listing(**fields):
    return PageQuery.of(grants_pb2.ListGrantsRequest(**fields))


async def test_a_purchase_is_made_once_however_often_it_is_asked_for(opened, tasks):
    answers = await asyncio.gather(*(bought(opened, 50) for _ in range(8)))
    assert {answer.id for answer in answers} == {answers[0].id}
    assert await opened.balance(tasks) == Balance(150, 150, 0, 0)
    for other in ({"credits_granted": 51}, {"credits_granted": 50, "priority": 3}):
        with pytest.raises(RequestIdReused):
            await bought(opened, **other)
    # Not among the answers that are forgotten after a month.
    assert await opened.count(schema.metadata.tables["replies"]) == 0


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_grant_says_who_made_it_and_why(opened, tasks):
    grant = await bought(opened, 50)
    assert (grant.reason, grant.priority, grant.available) == ("paid by invoice 7", 50, 50)
    assert grant.principal == "user:operator@operators"
    page = await opened.accounts.transactions(OPERATOR, listing(), PURCHASE)
    [row] = page.rows
    assert (row.amount, row.reason, row.principal) == (50, grant.reason, grant.principal)
    fact = (await opened.facts())[-1]
    assert (fact.transaction_type, fact.credits, fact.available) == ("purchase", 50, 150)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_what_cannot_be_granted_is_refused(frozen, opened):
    with pytest.raises(InvalidFields):
        await bought(opened, 5, expire_time=frozen.moment)
    await bought(opened, 1_000_000_000, "one")
    await bought(opened, 1_000_000_000, "two")
    with pytest.raises(TooManyCredits):
        await bought(opened, CREDITS_MAX - 2_000_000_000, "three")


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_grants_are_listed_newest_first_or_only_what_is_left(frozen, opened, tasks):
    frozen.forward(seconds=1)
    await bought(opened, 50)
    await spend(opened, tasks, "a", 100, 100)
    page = await opened.grants.page(tasks, listing(), only_available=False)
    assert [row.credits for row in page.rows] == [50, 100]
    page = await opened.grants.page(tasks, listing(), only_available=True)
    assert [row.credits for row in page.rows] == [50]
    stranger = Caller.service("tasks", account_id="other")
    assert (await opened.grants.page(stranger, listing(), only_available=False)).total_size == 0


async def test_what_is_left_of_a_grant_expires_once(frozen, opened, tasks):
    await bought(opened, 50, expire_time=frozen.moment + DAY, priority=1)
    await spend(opened, tasks, "a", 20, 20)
    frozen.forward(days=1)
    swept = await asyncio.gather(*(opened.sweeper.sweep_grants() for _ in range(4)))
    assert sorted(swept) == [0, 0, 0, 1]
    assert await opened.balance(tasks) == Balance(120, 100, 0, 20)
    rows = (await opened.accounts.transactions(OPERATOR, listing(), None)).rows
    assert rows[0].transaction_type == "expiry"
    assert sum(row.amount for row in rows) == 100
    fact = (await opened.facts())[-1]
    assert isinstance(fact, credits_pb2.CreditsExpired)
    assert (fact.credits, fact.available) == (30, 100)
    assert await opened.drifts() == []


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_an_expired_grant_pays_nothing_before_it_is_swept(frozen, opened, tasks):
    await bought(opened, 50, expire_time=frozen.moment + DAY, priority=1)
    frozen.forward(days=1)
    with pytest.raises(InsufficientCredits) as refused:
        await opened.reservations.reserve(tasks, [picture("a", 101)])
    assert refused.value.metadata["available"] == "100"
    await spend(opened, tasks, "b", 100, 100)
    assert await left(opened) == {100: 0, 50: 50}


@pytest.mark.parametrize("swept", [True, False])
async def test_a_reservation_keeps_what_it_holds_of_an_expired_grant(frozen, opened, tasks, swept):
    await bought(opened, 50, expire_time=frozen.moment + DAY, priority=1)
    week = timedelta(days=7)
    for key in ("used", "partly", "void"):
        await opened.reservations.reserve(tasks, [picture(key, 10)], ttl=week)
    frozen.forward(days=2)
    if swept:
        await opened.sweeper.sweep_grants()
    await opened.settlement.commit(tasks, "used", 10, CALL)
    await opened.settlement.commit(tasks, "partly", 4, CALL)
    await opened.settlement.void(tasks, "void", "")
    await opened.sweeper.sweep_grants()
    # 14 were used in the end; 20 were never reserved and 16 came back too late.
    assert await opened.balance(tasks) == Balance(114, 100, 0, 14)
    expired = [f.credits for f in await opened.facts() if isinstance(f, credits_pb2.CreditsExpired)]
    assert sum(expired) == 36
    assert await left(opened) == {100: 100, 50: 0}
    assert await opened.drifts() == []


async def test_what_is_left_of_a_grant_is_taken_back_once(opened, tasks):
    grant = await bought(opened, 50, priority=1)
    await spend(opened, tasks, "a", 20, 20)
    await opened.reservations.reserve(tasks, [picture("held", 10)])
    answers = await asyncio.gather(
        *(opened.grants.revoke(OPERATOR, grant.id, "charged back") for _ in range(6))
    )
    assert {answer.revoke_time for answer in answers} == {answers[0].revoke_time}
    assert answers[0].available == 0
    assert await opened.balance(tasks) == Balance(130, 100, 10, 20)
    await opened.settlement.commit(tasks, "held", 3, CALL)
    assert await opened.balance(tasks) == Balance(123, 100, 0, 23)
    revoked = [f for f in await opened.facts() if isinstance(f, credits_pb2.CreditsRevoked)]
    assert [(fact.grant_id, fact.credits) for fact in revoked] == [(grant.id, 20), (grant.id, 7)]
    rows = (await opened.accounts.transactions(OPERATOR, listing(), None)).rows
    assert {
        row.corrected_transaction_id for row in rows if row.transaction_type == "adjustment"
    } == {grant.transaction_id}
    assert sum(row.amount for row in rows) == 100
    assert await opened.drifts() == []


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_grant_of_another_account_cannot_be_revoked(opened):
    grant = await bought(opened, 50)
    stranger = Caller(issuer="gateway", principal="user:x", account_id="other", role="developer")
    with pytest.raises(NotFound):
        await opened.grants.revoke(stranger, grant.id, "no reason")


async def test_a_revocation_keeps_who_and_why_also_when_nothing_is_left(opened, tasks):
    grant = await bought(opened, 10, priority=1)
    await opened.reservations.reserve(tasks, [picture("held", 10)])
    revoked = await opened.grants.revoke(OPERATOR, grant.id, "chargeback of invoice 7")
    said = (revoked.revoke_reason, revoked.revoke_principal)
    assert said == ("chargeback of invoice 7", "user:operator@operators")
    shown = mapping.grant_to_proto(revoked)
    assert (shown.revoke_reason, shown.revoke_actor) == said
    await opened.settlement.void(tasks, "held", "")
    [row] = (await opened.accounts.transactions(OPERATOR, listing(), None)).rows[:1]
    assert (row.amount, row.reason) == (-10, "chargeback of invoice 7")
    await opened.grants.revoke(Caller.service("tasks", account_id=ACCOUNT), grant.id, "again")
    rows = (await opened.grants.page(OPERATOR, listing(), only_available=False)).rows
    assert said in {(row.revoke_reason, row.revoke_principal) for row in rows}


async def test_of_many_grants_of_many_accounts_none_is_left_out(opened, tasks, monkeypatch):
    monkeypatch.setattr(grants, "BURNED_MAX", 6)
    monkeypatch.setattr(grants, "_USABLE", grants._USABLE.limit(6))
    everybody = [replace(tasks, account_id=f"account-{number}") for number in range(4)]
    for each in everybody:
        for number in range(4):
            request = Request(f"{number}", "for the test")
            await opened.grants.create(each, request, TransactionType.PURCHASE, 5)
    # Together: what one statement brings ends in the middle of somebody's grants.
    calls = (opened.reservations.reserve(each, [picture("a", 20)]) for each in everybody)
    made = await asyncio.gather(*calls)
    assert [each.credits_reserved for [each] in made] == [20] * 4
    assert await opened.drifts() == []
