"""Postings and prices, without a database."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import InvalidFields
from services.billing import ledger, prices
from services.billing.domain import (
    Balance,
    Item,
    Operation,
    Price,
    Share,
    Subscription,
    Unit,
    months_after,
)

shares = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10**6)).map(
    lambda found: [Share(*each) for each in found.items()]
)
holds = shares.flatmap(
    lambda held: st.tuples(st.just(held), st.integers(0, sum(each.credits for each in held)))
)
postings = st.one_of(
    st.integers(0, 10**9).map(lambda amount: ledger.grant("a", amount)),
    shares.map(ledger.reserve),
    shares.map(ledger.release),
    shares.map(ledger.lapse),
    shares.map(ledger.take_back),
    st.tuples(shares, shares).map(lambda pair: ledger.refund(*pair, "successor")),
    holds.map(lambda hold: ledger.commit(*hold)),
)


def price(operation, variant, unit, unit_credits):
    return Price(operation, variant, unit, unit_credits, 1, datetime(2026, 1, 1, tzinfo=UTC))


PRICES = [
    price(Operation.CONTENT_GENERATION, "", Unit.PER_100_WORDS, 1),
    price(Operation.IMAGE_GENERATION, "standard", Unit.PER_IMAGE, 1),
    price(Operation.IMAGE_GENERATION, "premium", Unit.PER_IMAGE, 4),
    price(Operation.LINKING, "", Unit.PER_REQUEST, 0),
]


@given(postings)
def test_every_posting_sums_to_zero_for_each_grant_and_has_no_zero_entry(posting):
    for grant_id in {entry.grant_id for entry in posting}:
        assert sum(entry.amount for entry in posting if entry.grant_id == grant_id) == 0
    assert all(entry.amount for entry in posting)
    assert len({entry[:2] for entry in posting}) == len(posting)


@given(st.lists(postings))
def test_granted_is_always_available_and_reserved_and_spent(many):
    total = ledger.change_of(itertools.chain(*many))
    assert total.granted == total.available + total.reserved + total.spent


@given(holds)
def test_a_hold_that_ends_leaves_nothing_reserved(hold):
    held, charged = hold
    committed = [ledger.reserve(held), ledger.commit(held, charged)]
    moved = ledger.change_of(itertools.chain(*committed))
    assert moved == Balance(available=-charged, spent=charged)
    assert ledger.returned(committed) == {
        share.grant_id: -share.credits for share in sorted_shares(ledger.split(held, charged)[0])
    }
    assert ledger.change_of([*ledger.reserve(held), *ledger.release(held)]) == Balance()


def sorted_shares(found):
    return sorted(found, key=lambda share: share.grant_id)


def test_what_was_allocated_first_is_spent_first():
    held = [Share("plan", 7), Share("purchase", 5)]
    assert ledger.split(held, 9) == (
        [Share("plan", 7), Share("purchase", 2)],
        [Share("purchase", 3)],
    )


def test_more_than_was_reserved_cannot_be_charged():
    with pytest.raises(ValueError, match="more credits than there are"):
        ledger.commit([Share("a", 3)], 4)


@pytest.mark.parametrize(
    ("unit", "quantity", "expected"),
    [
        (Unit.PER_100_WORDS, 0, 0),
        (Unit.PER_100_WORDS, 1, 3),
        (Unit.PER_100_WORDS, 100, 3),
        (Unit.PER_100_WORDS, 101, 6),
        (Unit.PER_200_WORDS, 201, 6),
        (Unit.PER_REQUEST, 2, 6),
        (Unit.PER_ITEM, 5, 15),
        (Unit.PER_IMAGE, 7, 21),
    ],
)
def test_each_unit_begun_counts(unit, quantity, expected):
    assert prices.cost(unit, 3, quantity) == expected


def test_a_charge_never_goes_above_the_reservation():
    assert prices.charge(Unit.PER_100_WORDS, 1, 1500, 10) == 10
    assert prices.charge(Unit.PER_100_WORDS, 1, 950, 10) == 10
    assert prices.charge(Unit.PER_100_WORDS, 1, 850, 10) == 9


def test_an_image_without_a_variant_is_a_standard_one():
    priced = prices.price_items(
        [
            Item("a", Operation.IMAGE_GENERATION, 2),
            Item("b", Operation.IMAGE_GENERATION, 2, "premium"),
        ],
        PRICES,
    )
    assert [each.price.variant for each in priced] == ["standard", "premium"]
    assert [each.credits for each in priced] == [2, 8]


def test_what_has_no_price_and_what_comes_twice_is_refused_by_field():
    items = [
        Item("a", Operation.CONTENT_GENERATION, 100, "gold"),
        Item("b", Operation.CLUSTERING, 1),
        Item("b", Operation.LINKING, 1),
    ]
    with pytest.raises(InvalidFields) as refused:
        prices.price_items(items, PRICES)
    assert [violation.field for violation in refused.value.violations] == [
        "items[0].variant",
        "items[1].variant",
        "items[2].key",
    ]


def test_a_total_that_no_contract_can_show_is_refused():
    dear = [price(Operation.LINKING, "", Unit.PER_REQUEST, prices.PRICE_CREDITS_MAX)]
    items = [Item(str(number), Operation.LINKING, 1_000_000) for number in range(3)]
    assert prices.total(prices.price_items(items[:2], dear)) == 2_000_000_000
    with pytest.raises(InvalidFields):
        prices.price_items(items, dear)


def test_periods_are_counted_from_the_anchor_so_that_the_last_of_a_month_stays():
    anchor = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert months_after(anchor, 1) == datetime(2026, 2, 28, 12, tzinfo=UTC)
    assert months_after(anchor, 12) == datetime(2027, 1, 31, 12, tzinfo=UTC)
    february = Subscription("free", 1, anchor)
    assert february.period_start_time == datetime(2026, 2, 28, 12, tzinfo=UTC)
    assert february.period_end_time == datetime(2026, 3, 31, 12, tzinfo=UTC)
