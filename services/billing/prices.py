"""What a thing costs: the price in force for new reservations, the frozen one for charges. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from chassis.errors import InvalidFields, Violation
from services.billing.domain import CREDITS_MAX, Item, Operation, Price, PricedItem, Unit

PRICE_CREDITS_MAX = 1_000
"""For one unit; with it, a million units still fit into what a contract can show."""
VARIANT_DEFAULTS = {Operation.IMAGE_GENERATION: "standard"}
"""The variant that is meant where none is named."""
_UNIT_SIZES = {
    Unit.PER_REQUEST: 1,
    Unit.PER_100_WORDS: 100,
    Unit.PER_200_WORDS: 200,
    Unit.PER_ITEM: 1,
    Unit.PER_IMAGE: 1,
}
_UNIT_NOUNS = {
    Unit.PER_REQUEST: "request",
    Unit.PER_100_WORDS: "word",
    Unit.PER_200_WORDS: "word",
    Unit.PER_ITEM: "item",
    Unit.PER_IMAGE: "image",
}


def cost(unit: Unit, unit_credits: int, quantity: int) -> int:
    """Credits for a quantity of words, requests, items or images; each unit begun counts."""
    return -(-quantity // _UNIT_SIZES[unit]) * unit_credits


def charge(unit: Unit, unit_credits: int, used: int, credits_reserved: int) -> int:
    """Credits for what was used, at the frozen price, never above what was reserved."""
    return min(cost(unit, unit_credits, used), credits_reserved)


def variant_of(operation: Operation, named: str) -> str:
    """The variant that is meant."""
    return named or VARIANT_DEFAULTS.get(operation, "")


def same_measure(one: Unit, other: Unit) -> bool:
    """Whether quantities of one unit can be charged by the other: words stay words."""
    return (_UNIT_NOUNS[one] == "word") == (_UNIT_NOUNS[other] == "word")


def describe(operation: Operation, unit: Unit, quantity: int) -> str:
    """What was paid for, such as `Content generation: 1150 words.`"""
    plural = "" if quantity == 1 else "s"
    return f"{operation.words}: {quantity} {_UNIT_NOUNS[unit]}{plural}."


def price_items(
    items: Sequence[Item], prices: Iterable[Price], paid: Collection[str] = ()
) -> list[PricedItem]:
    """Prices items, in order, but those whose keys are paid for; quotes and reservations both
    come through here.

    Raises InvalidFields for a key named twice, an operation or variant without a price, and
    a total that no contract can show.
    """
    in_force = {(price.operation, price.variant): price for price in prices}
    priced: list[PricedItem] = []
    violations: list[Violation] = []
    keys: set[str] = set()
    for index, item in enumerate(items):
        if item.key in keys:
            violations.append(Violation(f"items[{index}].key", "appears twice"))
        keys.add(item.key)
        if item.key in paid:
            # At another price perhaps, which is frozen.
            continue
        variant = variant_of(item.operation, item.variant)
        price = in_force.get((item.operation, variant))
        if price is None:
            violations.append(Violation(f"items[{index}].variant", "has no price"))
            continue
        priced.append(PricedItem(item, price, cost(price.unit, price.credits, item.quantity)))
    if not violations and total(priced) > CREDITS_MAX:
        violations.append(Violation("items", f"cost more than {CREDITS_MAX} credits"))
    if violations:
        raise InvalidFields(*violations)
    return priced


def total(priced: Iterable[PricedItem]) -> int:
    """Credits for all items."""
    return sum(each.credits for each in priced)
