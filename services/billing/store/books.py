"""The books of one account while they are locked: what is known of them, and what is noted.

Nothing here writes; `UnitOfWork` does, for all accounts at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from chassis.outbox import Fact
from services.billing.domain import (
    AiCall,
    Balance,
    Budget,
    BudgetScope,
    Grant,
    Held,
    Reservation,
    Share,
)
from services.billing.ledger import Transaction, returned
from services.billing.store.pending import Usage

if TYPE_CHECKING:
    from services.billing.store.unit_of_work import UnitOfWork


class AccountBooks:
    """One account's balance, grants, reservations and budgets, as they are after what was noted."""

    def __init__(self, unit: UnitOfWork, account_id: str, balance: Balance, low_at: int) -> None:
        self.unit = unit
        self.account_id = account_id
        self.balance = balance
        self.low_at = low_at
        """When available is no more than this, thresholds have to be looked at."""
        self._grants: dict[str, Grant] = {}
        self._burning: list[str] | None = None
        self._period_end_time: datetime | None = None
        self._held: dict[str, Held | None] = {}
        self._budgets: dict[tuple[BudgetScope, str], Budget | None] = {}
        self._api_keys: dict[str, str | None] = {}

    @property
    def now(self) -> datetime:
        """The database's time since the account was locked."""
        return self.unit.now

    def reservation(self, key: str) -> Held | None:
        """What the key stands for, if anything."""
        if key not in self._held:
            self.unit.load_reservations([(self.account_id, key)])
        return self._held[key]

    def api_key_of_run(self, run_id: str) -> str:
        """The API key behind a run: that of its first reservation; empty when there is none."""
        if run_id not in self._api_keys:
            self.unit.load_api_keys([(self.account_id, run_id)])
        return self._api_keys[run_id] or ""

    def usable(self) -> Iterator[Grant]:
        """Grants that have credits to be reserved, in burn order."""
        if self._burning is None:
            self.unit.load_usable_grants([self.account_id])
        for grant_id in self._burning or ():
            grant = self._grants[grant_id]
            if grant.available and not grant.has_ended(self.now):
                yield grant

    def period_has_ended(self) -> bool:
        """Whether a plan's next period is due; known where any credits are usable."""
        if self._burning is None:
            self.unit.load_usable_grants([self.account_id])
        return self._period_end_time is not None and self._period_end_time <= self.now

    def budgets(self, scopes: Mapping[BudgetScope, str]) -> dict[BudgetScope, Budget]:
        """The budgets that something counts against: at most one for each scope."""
        unknown = [each for each in scopes.items() if each not in self._budgets]
        if unknown:
            self.unit.load_budgets([(self.account_id, *each) for each in unknown])
        found = {scope: self._budgets[scope, scope_id] for scope, scope_id in scopes.items()}
        return {scope: budget for scope, budget in found.items() if budget is not None}

    def learn_reservation(self, key: str, held: Held | None) -> None:
        """Takes in what the database knows of a key; None for nothing."""
        self._held[key] = held

    def learn_api_key(self, run_id: str, api_key_id: str | None) -> None:
        """Takes in the API key behind a run; None for a run without reservations."""
        self._api_keys[run_id] = api_key_id

    def learn_grant(self, grant: Grant) -> None:
        """Takes in a grant as it is."""
        self._grants[grant.id] = grant

    def learn_usable(self, grants: Sequence[Grant], period_end_time: datetime | None) -> None:
        """Takes in all grants that have credits left, in burn order, and when the plan's period
        ends; None where there is no plan or nothing usable."""
        self._period_end_time = period_end_time
        self._grants.update((grant.id, grant) for grant in grants)
        self._burning = [grant.id for grant in grants]

    def learn_budget(self, scope: BudgetScope, scope_id: str, budget: Budget | None) -> None:
        """Takes in a budget; None where there is none."""
        self._budgets[scope, scope_id] = budget

    def add_reservation(
        self, reservation: Reservation, shares: Sequence[Share], principal: str
    ) -> None:
        """Notes a new reservation and what it holds; the posting is noted apart."""
        self._own(reservation.account_id)
        self._held[reservation.key] = Held(reservation, tuple(shares))
        if self._api_keys.get(reservation.run_id, "") is None:
            self._api_keys[reservation.run_id] = reservation.api_key_id
        self.unit.pending.note().reservations.append((reservation, principal))

    def settle(self, settled: Reservation, reason: str) -> None:
        """Notes how an open reservation ended."""
        self._own(settled.account_id)
        held = self._held.get(settled.key)
        if held is not None:
            self._held[settled.key] = Held(settled, held.shares)
        self.unit.pending.note().settled.append((settled, reason))

    def write(self, transactions: Sequence[Transaction]) -> list[Grant]:
        """Notes postings; answers the known grants that they change.

        The database moves what is left of grants when it is given the transactions.
        """
        pending = self.unit.pending.note()
        for transaction in transactions:
            self._own(transaction.account_id)
            pending.transactions.append(transaction)
            self.balance = self.balance.plus(transaction.change)
        pending.balances[self.account_id] = self
        changes = returned(each.entries for each in transactions)
        for grant_id, amount in changes.items():
            self._move_grant(grant_id, amount)
        return [self._grants[grant_id] for grant_id in changes if grant_id in self._grants]

    def add_grant(self, grant: Grant) -> None:
        """Notes a grant that has nothing available yet. Its key is unique in the account."""
        self._own(grant.account_id)
        self._grants[grant.id] = grant
        self.unit.pending.note().grants.append(grant)

    def set_low_at(self, available: int) -> None:
        """Remembers when thresholds have to be looked at next; CREDITS_MAX for at once."""
        self.low_at = available
        self.unit.pending.note().balances[self.account_id] = self

    def set_budget(self, budget: Budget) -> None:
        """Notes a budget as it is from now on."""
        known = self._budgets.get((budget.scope, budget.scope_id))
        self._budgets[budget.scope, budget.scope_id] = budget
        changes = self.unit.pending.note()
        is_new = known is None or (self.account_id, known.id) in changes.new_budgets
        target = changes.new_budgets if is_new else changes.budgets
        target[self.account_id, budget.id] = budget

    def use(self, reservation: Reservation, call: AiCall, charged: int, posted: str | None) -> None:
        """Notes the AI call behind a reservation, unless one is noted already."""
        self._own(reservation.account_id)
        self.unit.pending.note().usage.append(Usage(reservation, call, charged, posted, self.now))

    def tell(self, fact: Fact) -> None:
        """Notes an event."""
        self.unit.pending.note().facts.append(fact)

    def _move_grant(self, grant_id: str, amount: int) -> None:
        known = self._grants.get(grant_id)
        if known is not None:
            self._grants[grant_id] = replace(known, available=known.available + amount)
        if amount > 0 and self._burning is not None and grant_id not in self._burning:
            # It has credits again and has its place in the order: both are looked up anew.
            self._burning = None

    def _own(self, account_id: str) -> None:
        if account_id != self.account_id:
            raise ValueError("this belongs to another account")
