"""Sweeping when there is much to do, when many do it, and when some of it cannot be done."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from chassis import clock
from chassis.caller import Caller
from chassis.database import open_database
from services.billing import schema
from services.billing.domain import Balance, TransactionType
from services.billing.service import Request, expiry
from tests.billing.conftest import Billing
from tests.billing.samples import ACCOUNT, OPERATOR, picture

balances = schema.account_balances
MINUTE = timedelta(minutes=1)


def member(number):
    return Caller.service("tasks", account_id=f"account-{number}", request_id="request-1")


async def broken(billing, tasks):
    """The account holds more than its projection says, so that nothing of it can return."""
    await billing.execute(
        update(balances)
        .where(balances.c.account_id == ACCOUNT)
        .values(available=balances.c.available + balances.c.reserved, reserved=0)
    )


async def test_an_account_that_cannot_be_swept_holds_up_no_other(
    frozen, opened, tasks, monkeypatch, caplog
):
    monkeypatch.setattr(expiry, "BATCH", 3)
    for number in range(7):
        await opened.reservations.reserve(tasks, [picture(f"{number}")], ttl=MINUTE)
    await opened.accounts.open(member(1))
    await opened.reservations.reserve(member(1), [picture("a", 9)], ttl=2 * MINUTE)
    await broken(opened, tasks)
    frozen.forward(hours=1)
    assert await opened.sweeper.sweep() == 1
    assert await opened.balance(member(1)) == Balance(100, 100, 0, 0)
    assert caplog.text.count("could not be swept") == 1


async def test_an_account_that_fails_is_left_alone_longer_each_time(monkeypatch):
    moment = 100.0
    monkeypatch.setattr(clock, "elapsed_s", lambda: moment)
    resting = expiry.Resting()
    rests = []
    for _ in range(10):
        resting.add("a")
        begun = moment
        while resting.has("a"):
            moment += 5
        rests.append(moment - begun)
    assert rests == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    resting.remove("a")
    resting.add("a")
    assert resting.has("a")
    moment += 5
    assert not resting.has("a")


async def test_what_failed_is_remembered_of_a_bounded_number(monkeypatch):
    monkeypatch.setattr(expiry, "RESTING_MAX", 3)
    resting = expiry.Resting()
    for number in range(5):
        resting.add(f"{number}")
    assert [resting.has(f"{number}") for number in range(5)] == [False, False, True, True, True]


async def test_accounts_whose_period_fails_hold_up_no_other(frozen, opened, tasks, monkeypatch):
    monkeypatch.setattr(expiry, "BATCH", 1)
    renew = expiry.renew_if_due

    def fail_for_one(journal):
        if journal.caller.account_id == ACCOUNT:
            raise RuntimeError("broken")
        return renew(journal)

    monkeypatch.setattr(expiry, "renew_if_due", fail_for_one)
    frozen.forward(hours=1)
    for number in range(3):
        await opened.accounts.open(member(number))
    frozen.forward(days=28)
    assert await opened.sweeper.sweep_periods() == 3


async def test_one_pass_ends_all_that_is_overdue_in_bounded_pages(frozen, opened, monkeypatch):
    monkeypatch.setattr(expiry, "BATCH", 4)
    # All end at the same moment, so that pages go on by the ids.
    for number in range(3):
        await opened.accounts.open(member(number))
        items = [picture(f"{each}") for each in range(5)]
        await opened.reservations.reserve(member(number), items, ttl=MINUTE)
        for each in range(3):
            request = Request(f"{number}-{each}", "for the test")
            await opened.grants.create(
                member(number),
                request,
                TransactionType.PURCHASE,
                5,
                expire_time=frozen.moment + timedelta(hours=1),
            )
    frozen.forward(hours=2)
    assert await opened.sweeper.sweep() == 15
    assert await opened.sweeper.sweep_grants() == 9
    assert await opened.sweeper.sweep() == await opened.sweeper.sweep_grants() == 0
    assert await opened.drifts() == []


@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_replicas_that_sweep_together_end_everything_in_one_pass(
    frozen, opened, database_url, monkeypatch
):
    monkeypatch.setattr(expiry, "BATCH", 5)
    replicas = [opened, *(Billing(open_database(database_url)) for _ in range(2))]
    for number in range(12):
        await opened.accounts.open(member(number))
        items = [picture(f"{each}") for each in range(2)]
        await opened.reservations.reserve(member(number), items, ttl=MINUTE)
        frozen.forward(seconds=1)
    frozen.forward(hours=1)
    swept = await asyncio.gather(*(each.sweeper.sweep() for each in replicas))
    assert sum(swept) == 24
    assert await opened.drifts() == []
    for each in replicas[1:]:
        await each.database.close()


async def test_the_loops_sweep_everything_by_themselves(frozen, opened, tasks):
    await opened.reservations.reserve(tasks, [picture("a", 7)])
    request = Request("one", "for the test")
    soon = frozen.moment + timedelta(hours=1)
    await opened.grants.create(OPERATOR, request, TransactionType.PURCHASE, 5, expire_time=soon)
    frozen.forward(days=28)
    loops = [asyncio.create_task(loop()) for loop in opened.sweeper.loops()]
    async with asyncio.timeout(10):
        while await opened.balance(tasks) != Balance(100, 100, 0, 0):
            await asyncio.sleep(0.01)
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    assert await opened.drifts() == []
