"""What an account has: balance, plan, grants, budgets."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, replace
from datetime import datetime

from services.billing.domain.values import (
    BudgetScope,
    TransactionType,
)


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has; also, with signs, a change of it."""

    granted: int = 0
    available: int = 0
    reserved: int = 0
    spent: int = 0

    def plus(self, change: Balance) -> Balance:
        """The balance after a change."""
        return Balance(
            self.granted + change.granted,
            self.available + change.available,
            self.reserved + change.reserved,
            self.spent + change.spent,
        )


@dataclass(frozen=True, slots=True)
class Subscription:
    """An account's plan and its current period."""

    plan: str
    period: int
    """Number of the period, from 0 at the anchor."""
    anchor_time: datetime
    """Start of the first period; later ones are counted from here, so that 31 stays 31."""
    period_credits: int = 0
    """Granted for the current period so far."""
    next_plan: str = ""
    """The plan from the next period on; empty when it stays."""
    low_percent: int | None = None
    """Lowest threshold that was told in the current period."""

    @property
    def period_start_time(self) -> datetime:
        """First moment of the current period."""
        return months_after(self.anchor_time, self.period)

    @property
    def period_end_time(self) -> datetime:
        """First moment of the next period."""
        return months_after(self.anchor_time, self.period + 1)

    def period_at(self, moment: datetime) -> int:
        """Number of the period that the moment is in."""
        anchor = self.anchor_time
        months = (moment.year - anchor.year) * 12 + moment.month - anchor.month
        return months if months_after(anchor, months) <= moment else months - 1


@dataclass(frozen=True, slots=True)
class Share:
    """Credits of one grant."""

    grant_id: str
    credits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Credits that came in together, and what is left of them to be reserved."""

    id: str
    account_id: str
    key: str
    """What they were granted for; unique in the account."""
    transaction_id: str
    transaction_type: TransactionType
    credits: int
    available: int
    priority: int
    expire_time: datetime | None
    revoke_time: datetime | None
    reason: str
    principal: str
    create_time: datetime
    revoke_reason: str = ""
    revoke_principal: str = ""
    """Who revoked it."""

    def has_ended(self, now: datetime) -> bool:
        """Whether nothing of it may be reserved any more, and what returns to it leaves again."""
        return self.revoke_time is not None or (
            self.expire_time is not None and self.expire_time <= now
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A ceiling and what is used below it."""

    id: str
    revision: int
    scope: BudgetScope
    scope_id: str
    credits: int
    used: int
    month: str
    """The month that `used` is about; empty for a run."""
    create_time: datetime
    update_time: datetime

    @property
    def guarded(self) -> dict[str, object]:
        """What its etag guards; new fields come last."""
        return {"credits": self.credits}

    def is_past(self, month: str) -> bool:
        """Whether `used` is of a later month: somebody waited while the month ended."""
        return bool(self.month) and month < self.month

    def used_in(self, month: str) -> int:
        """What is used in a month; nothing yet in one that begins."""
        return 0 if self.month and month > self.month else self.used

    def with_use(self, month: str, credits_used: int) -> Budget:
        """After credits were reserved in a month; one that begins starts from zero.

        A month that is over is not counted any more: `used` is of the newest.
        """
        if self.is_past(month):
            return self
        used = self.used_in(month) + credits_used
        return replace(self, used=used, month=self.month and month)

    def with_return(self, month: str, credits_returned: int) -> Budget:
        """After reservations made in a month gave back what they held and did not use."""
        if self.month and self.month != month:
            return self
        return replace(self, used=self.used - credits_returned)


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


def months_after(moment: datetime, months: int) -> datetime:
    """The same day and time of a later month, or its last day where the month is shorter."""
    index = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(index, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def month_of(moment: datetime) -> str:
    """The calendar month (UTC), such as 2026-01; sorts by time."""
    return f"{moment:%Y-%m}"
