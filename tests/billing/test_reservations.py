"""Holding credits back, on both databases."""

import asyncio
from datetime import timedelta

import pytest

from chassis.caller import Caller
from chassis.errors import InvalidFields, NotFound, RequestIdReused
from services.billing import schema
from services.billing.domain import (
    Balance,
    Item,
    Operation,
    ReservationState,
    TransactionType,
    Unit,
)
from services.billing.errors import InsufficientCredits
from services.billing.service import Request, Work
from tests.billing.samples import ACCOUNT, NO_CALL, OPERATOR, picture, text


async def test_a_reservation_holds_back_what_the_quote_said(opened, tasks):
    items = [text("a", 950), picture("b", 3, "premium")]
    quote = await opened.reservations.quote(tasks, items)
    held = await opened.reservations.reserve(tasks, items, work_for=Work(run_id="run-1"))
    assert quote.credits == 22
    assert quote.available == 100
    assert [each.credits for each in quote.items] == [each.credits_reserved for each in held]
    assert [each.key for each in held] == ["a", "b"]
    assert held[0].state is ReservationState.OPEN
    assert (held[0].site_id, held[0].run_id, held[0].request_id) == (
        "site-1",
        "run-1",
        "request-1",
    )
    assert await opened.balance(tasks) == Balance(100, 78, 22, 0)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_quote_changes_nothing_even_when_it_is_too_dear(opened, tasks):
    quote = await opened.reservations.quote(tasks, [text("a", 20_000)])
    assert (quote.credits, quote.available) == (200, 100)
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)
    assert await opened.count(schema.reservations) == 0


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_the_same_key_answers_the_same_reservation_whatever_became_of_it(opened, tasks):
    [first] = await opened.reservations.reserve(tasks, [text("a")])
    [again] = await opened.reservations.reserve(tasks, [text("a")])
    assert again == first
    await opened.settlement.void(tasks, "a", "")
    [voided] = await opened.reservations.reserve(tasks, [text("a")])
    assert voided.id == first.id
    assert voided.state is ReservationState.VOIDED
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)


async def test_a_batch_that_was_partly_reserved_reserves_the_rest(opened, tasks):
    [first] = await opened.reservations.reserve(tasks, [text("b")])
    held = await opened.reservations.reserve(tasks, [text("a"), text("b"), text("c")])
    assert [each.key for each in held] == ["a", "b", "c"]
    assert held[1] == first
    assert (await opened.balance(tasks)).reserved == 30


async def test_a_key_that_pays_for_something_else_is_refused_and_nothing_changes(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a")])
    for other in (text("a", 999), Item("a", Operation.LINKING, 1), picture("a", 1, "premium")):
        with pytest.raises(RequestIdReused):
            await opened.reservations.reserve(tasks, [text("b", 100), other])
    assert await opened.balance(tasks) == Balance(100, 90, 10, 0)
    assert await opened.count(schema.reservations) == 1


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_the_default_variant_and_its_name_are_the_same_thing(opened, tasks):
    [first] = await opened.reservations.reserve(tasks, [picture("a")])
    [again] = await opened.reservations.reserve(tasks, [picture("a", 1, "standard")])
    assert again == first


async def test_too_few_credits_are_refused_with_the_numbers_and_nothing_changes(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a", 5000)])
    facts = await opened.facts()
    with pytest.raises(InsufficientCredits) as refused:
        await opened.reservations.reserve(tasks, [text("b", 100), text("c", 5000)])
    assert refused.value.reason == "INSUFFICIENT_CREDITS"
    assert refused.value.metadata == {
        "required": "51",
        "available": "50",
        "limit": "account",
        "limit_id": ACCOUNT,
    }
    assert await opened.balance(tasks) == Balance(100, 50, 50, 0)
    assert await opened.facts() == facts
    with pytest.raises(NotFound):
        await opened.reservations.get(tasks, "b")
    # The keys are free: once there is room, the same call goes through.
    await opened.settlement.void(tasks, "a", "")
    assert len(await opened.reservations.reserve(tasks, [text("b", 100), text("c", 5000)])) == 2


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_an_account_that_was_never_opened_has_nothing(billing, tasks):
    assert await billing.balance(tasks) == Balance()
    assert (await billing.reservations.quote(tasks, [text("a")])).available == 0
    with pytest.raises(InsufficientCredits) as refused:
        await billing.reservations.reserve(tasks, [text("a")])
    assert refused.value.metadata["available"] == "0"


async def test_the_zero_price_goes_through_when_there_is_nothing(billing, tasks):
    await billing.catalogue.update(tasks, Operation.LINKING, "", 0)
    [held] = await billing.reservations.reserve(tasks, [Item("a", Operation.LINKING, 1)])
    assert (held.credits_reserved, held.price_version) == (0, 2)
    settled = await billing.settlement.commit(tasks, "a", 1, NO_CALL)
    assert settled.state is ReservationState.COMMITTED
    assert await billing.count(schema.ledger_transactions) == 0
    assert await billing.count(schema.usage_records) == 1
    assert await billing.balance(tasks) == Balance()


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_price_change_does_not_touch_what_is_reserved(opened, tasks):
    await opened.reservations.reserve(tasks, [text("a")])
    operation, unit = Operation.CONTENT_GENERATION, Unit.PER_200_WORDS
    await opened.catalogue.update(tasks, operation, "", 7, unit=unit)
    [held, dearer] = await opened.reservations.reserve(tasks, [text("a"), text("b")])
    assert (held.price_version, held.credits_reserved) == (1, 10)
    assert (dearer.price_version, dearer.credits_reserved) == (2, 35)
    assert (await opened.settlement.commit(tasks, "a", 450, NO_CALL)).credits_charged == 5


async def test_asking_again_after_a_price_rise_answers_the_same(opened, tasks):
    request = Request("one", "for the test")
    await opened.grants.create(OPERATOR, request, TransactionType.PURCHASE, 10_000_000)
    items = [picture(f"{n}", 1_000_000) for n in range(3)]
    made = await opened.reservations.reserve(tasks, items)
    changed = Operation.IMAGE_GENERATION, "standard", 1_000
    await opened.catalogue.update(OPERATOR, *changed, reason="dearer")
    # At today's price all together would be more than an account can have.
    assert await opened.reservations.reserve(tasks, items) == made
    [*again, fresh] = await opened.reservations.reserve(tasks, [*items, picture("d", 2)])
    assert again == made
    assert fresh.credits_reserved == 2_000
    with pytest.raises(InvalidFields):
        await opened.reservations.reserve(tasks, [picture(f"new-{n}", 1_000_000) for n in range(3)])


async def test_ten_parallel_reserves_of_three_with_three_available_are_one(opened, tasks):
    await opened.reservations.reserve(tasks, [picture("rest", 97)])

    async def reserve(number):
        try:
            await opened.reservations.reserve(tasks, [picture(f"key-{number}", 3)])
        except InsufficientCredits as refused:
            return refused.metadata
        return None

    outcomes = await asyncio.gather(*(reserve(number) for number in range(10)))
    refusals = [outcome for outcome in outcomes if outcome]
    assert len(refusals) == 9
    assert (
        refusals
        == [{"required": "3", "available": "0", "limit": "account", "limit_id": ACCOUNT}] * 9
    )
    assert await opened.balance(tasks) == Balance(100, 0, 100, 0)


async def test_the_same_batch_in_parallel_is_one_batch(opened, tasks):
    items = [picture(f"key-{number}", 10) for number in range(10)]

    async def reserve(turned):
        return await opened.reservations.reserve(tasks, items[::-1] if turned else items)

    answers = await asyncio.gather(*(reserve(number % 2) for number in range(12)))
    ids = [sorted(each.id for each in answer) for answer in answers]
    assert ids == [ids[0]] * 12
    assert await opened.balance(tasks) == Balance(100, 0, 100, 0)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_key_belongs_to_its_account(opened, tasks):
    other = Caller.service("tasks", account_id="other")
    await opened.accounts.open(other)
    [mine] = await opened.reservations.reserve(tasks, [text("a")])
    [theirs] = await opened.reservations.reserve(other, [text("a", 500)])
    assert theirs.id != mine.id
    await opened.settlement.void(other, "a", "")
    assert (await opened.reservations.get(tasks, "a")).state is ReservationState.OPEN
    with pytest.raises(NotFound):
        await opened.reservations.get(Caller.service("tasks", account_id="third"), "a")


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_reservation_expires_after_its_interval(opened, tasks, frozen):
    [held] = await opened.reservations.reserve(tasks, [text("a")], ttl=timedelta(hours=2))
    assert held.expire_time == frozen.moment + timedelta(hours=2)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_what_has_no_price_is_refused_in_quotes_and_reservations_alike(opened, tasks):
    for call in (opened.reservations.quote, opened.reservations.reserve):
        with pytest.raises(InvalidFields):
            await call(tasks, [picture("a", 1, "gold")])
