"""What is paid for: prices, quotes, reservations, AI calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.billing.domain.accounts import (
    Share,
)
from services.billing.domain.values import (
    BudgetScope,
    Operation,
    ReservationState,
    Unit,
)


@dataclass(frozen=True, slots=True)
class Price:
    """One version of the price of an operation; versions never change."""

    operation: Operation
    variant: str
    unit: Unit
    credits: int
    version: int
    create_time: datetime
    reason: str = ""

    @property
    def guarded(self) -> dict[str, object]:
        """What its etag guards; new fields come last."""
        return {"credits": self.credits, "unit": self.unit}


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
    api_key_id: str
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

    @property
    def scopes(self) -> dict[BudgetScope, str]:
        """What its credits count against; without what it does not belong to."""
        return scopes_of(self.site_id, self.api_key_id, self.run_id)

    def is_overdue(self, now: datetime) -> bool:
        """Whether it is open and its time has come."""
        return self.state is ReservationState.OPEN and self.expire_time <= now

    def is_for(self, operation: Operation, variant: str, quantity: int) -> bool:
        """Whether this is what is asked for; today's price does not matter."""
        return (self.operation, self.variant, self.quantity) == (operation, variant, quantity)


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation, and what it holds or held of which grants, in burn order."""

    reservation: Reservation
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class AiCall:
    """What a provider said of the call behind a charge; empty where it is not known."""

    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    object_id: str = ""
    provider_cost_micro_usd: int | None = None


def scopes_of(site_id: str, api_key_id: str, run_id: str) -> dict[BudgetScope, str]:
    """What credits count against; without what is empty."""
    ids = {
        BudgetScope.SITE: site_id,
        BudgetScope.API_KEY: api_key_id,
        BudgetScope.RUN: run_id,
    }
    return {scope: scope_id for scope, scope_id in ids.items() if scope_id}
