"""Credits as plain values: balances, prices, reservations, usage. No I/O.

All amounts are whole credits. `granted = available + reserved + spent` holds for every Balance.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

CREDITS_MAX = 2**31 - 1
"""The largest amount that a contract can show."""
PLAN_DEFAULT = "free"
ID_CHARS = 64
"""Longest id that is kept; those of other services are kept as they come."""
KEY_CHARS = 128
"""Longest key of a reservation, and id of a thing paid for."""
MODEL_CHARS = 128
REASON_CHARS = 200


class Operation(StrEnum):
    """What credits are spent on."""

    CONTENT_GENERATION = "content_generation"
    IMAGE_PROMPT_EXTRACTION = "image_prompt_extraction"
    IMAGE_GENERATION = "image_generation"
    CLUSTERING = "clustering"
    IDEA_GENERATION = "idea_generation"
    LINKING = "linking"
    OPTIMIZATION = "optimization"

    @property
    def words(self) -> str:
        """For sentences, such as `Content generation`."""
        return self.value.replace("_", " ").capitalize()


class Unit(StrEnum):
    """What a price is for."""

    PER_REQUEST = "per_request"
    PER_100_WORDS = "per_100_words"
    PER_200_WORDS = "per_200_words"
    PER_ITEM = "per_item"
    PER_IMAGE = "per_image"


class ReservationState(StrEnum):
    """Whether and how a reservation was settled; all but `open` are final."""

    OPEN = "open"
    COMMITTED = "committed"
    VOIDED = "voided"
    EXPIRED = "expired"


class TransactionType(StrEnum):
    """Why an account's credits changed."""

    PURCHASE = "purchase"
    SUBSCRIPTION = "subscription"
    REFUND = "refund"
    DEDUCTION = "deduction"
    ADJUSTMENT = "adjustment"
    EXPIRY = "expiry"


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has; also, with signs, a change of it."""

    granted: int = 0
    available: int = 0
    reserved: int = 0
    spent: int = 0


@dataclass(frozen=True, slots=True)
class Subscription:
    """An account's plan and its current period."""

    plan: str
    period: int
    """Number of the period, from 0 at the anchor."""
    anchor_time: datetime
    """Start of the first period; later ones are counted from here, so that 31 stays 31."""

    @property
    def period_start_time(self) -> datetime:
        """First moment of the current period."""
        return months_after(self.anchor_time, self.period)

    @property
    def period_end_time(self) -> datetime:
        """First moment of the next period."""
        return months_after(self.anchor_time, self.period + 1)


@dataclass(frozen=True, slots=True)
class Account:
    """A balance and the plan behind it; without a plan for an account never opened."""

    balance: Balance
    subscription: Subscription | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan and its credits a month."""

    name: str
    credits: int


@dataclass(frozen=True, slots=True)
class Price:
    """One version of the price of an operation; versions never change."""

    operation: Operation
    variant: str
    unit: Unit
    credits: int
    version: int
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to pay for, as it was asked for."""

    key: str
    operation: Operation
    quantity: int
    variant: str = ""


@dataclass(frozen=True, slots=True)
class PricedItem:
    """A thing to pay for and what it costs at the price in force."""

    item: Item
    price: Price
    credits: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What items would cost together, and what there is."""

    items: Sequence[PricedItem]
    credits: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Credits held back for one thing, with the price frozen."""

    id: str
    account_id: str
    site_id: str
    sector_id: str
    run_id: str
    request_id: str
    key: str
    state: ReservationState
    operation: Operation
    variant: str
    quantity: int
    unit: Unit
    unit_credits: int
    price_version: int
    credits_reserved: int
    credits_charged: int
    expire_time: datetime
    create_time: datetime
    settle_time: datetime | None

    def is_for(self, wanted: PricedItem) -> bool:
        """Whether this is what the item asks for; today's price does not matter."""
        return (self.operation, self.variant, self.quantity) == (
            wanted.item.operation,
            wanted.price.variant,
            wanted.item.quantity,
        )


@dataclass(frozen=True, slots=True)
class AiCall:
    """What a provider said of the call behind a charge; empty where it is not known."""

    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    object_id: str = ""


def months_after(moment: datetime, months: int) -> datetime:
    """The same day and time of a later month, or its last day where the month is shorter."""
    index = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(index, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))
