"""What a database transaction is going to write, table by table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from chassis.outbox import Fact
from services.billing.domain import AiCall, Budget, Grant, Reservation
from services.billing.ledger import Transaction

if TYPE_CHECKING:
    from services.billing.store.books import AccountBooks


@dataclass(frozen=True, slots=True)
class Usage:
    """An AI call, what was charged for it and by which transaction."""

    reservation: Reservation
    call: AiCall
    credits: int
    transaction_id: str | None
    time: datetime


@dataclass(slots=True)
class Pending:
    """Everything that was noted and not yet written."""

    reservations: list[tuple[Reservation, str]] = field(default_factory=list)
    """With the principal who reserved."""
    settled: list[tuple[Reservation, str]] = field(default_factory=list)
    """With the reason."""
    grants: list[Grant] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    balances: dict[str, AccountBooks] = field(default_factory=dict)
    new_budgets: dict[tuple[str, str], Budget] = field(default_factory=dict)
    budgets: dict[tuple[str, str], Budget] = field(default_factory=dict)
    """By account and id, as these and the new ones are going to be."""
    usage: list[Usage] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)
    """Consumer and id of each event that takes effect."""
    facts: list[Fact] = field(default_factory=list)
    notes: int = 0
    """Grows with everything that is noted, also where that replaces what was noted before."""

    def note(self) -> Pending:
        """What is to be noted goes into what this answers."""
        self.notes += 1
        return self
