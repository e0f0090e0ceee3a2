"""One account's books, open in one transaction: postings, and what follows from them at once.

Two things follow: what returns to a grant that has ended leaves again, and thresholds that
available credits fall to are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from chassis import ids
from chassis.caller import Caller
from services.billing import ledger
from services.billing.domain import (
    CREDITS_MAX,
    LOW_PERCENTS,
    Balance,
    Grant,
    Share,
    Subscription,
    TransactionType,
)
from services.billing.events import Facts
from services.billing.ledger import Entries, Kind, Transaction
from services.billing.store import (
    AccountStore,
    BalanceStore,
    CatalogueStore,
    GrantStore,
    LedgerStore,
    Moment,
    Moved,
    actor_of,
    read,
)

NEVER = -1
"""As a threshold: available credits do not fall to it."""
LAPSED_MAX = 100
"""Grants past their time that one transaction ends at most."""


class Journal:
    """Takes, gives and writes down."""

    def __init__(self, connection: Connection, caller: Caller, facts: Facts, now: datetime) -> None:
        self.connection = connection
        self.caller = caller
        self.facts = facts
        self.now = now
        self.accounts = AccountStore(connection, caller)
        self.balances = BalanceStore(connection, caller)
        self.grants = GrantStore(connection, caller)
        self.ledger = LedgerStore(connection, caller)
        self._taken: Moved | None = None

    def transaction(
        self, kind: Kind, entries: Entries, transaction_type: TransactionType, **fields: Any
    ) -> Transaction:
        """A transaction of this account, caused by the caller now."""
        return Transaction(
            id=ids.new_id(),
            account_id=self.caller.account_id,
            kind=kind,
            entries=entries,
            transaction_type=transaction_type,
            request_id=self.caller.request_id,
            principal=actor_of(self.caller),
            create_time=self.now,
            **fields,
        )

    def take(self, taken: Balance) -> list[Share] | None:
        """Takes available credits out of the grants that burn first; to be written down after.

        None, and nothing has changed, when usable grants have less. Either way the account is
        locked. `taken` says where the credits go: reserved, or out of what was granted.
        """
        moved = self.balances.move(taken)
        if moved is None:
            return None
        shares = self.grants.choose(-taken.available, self.now)
        if shares is None:
            self.balances.move(_negative(taken))
            return None
        self._taken = moved
        return shares

    def write(self, transactions: Sequence[Transaction]) -> Balance:
        """Writes down what was taken; returns the balance."""
        assert self._taken is not None, "something was taken"
        moved, self._taken = self._taken, None
        self.ledger.write(transactions)
        self._warn(moved)
        return moved.balance

    def post(self, transactions: Sequence[Transaction]) -> Balance:
        """Moves the balance and writes down what needs no choice of grants; returns the balance."""
        moving = [each for each in transactions if each.entries]
        if not moving:
            return self.balances.get()
        moved = self.balances.move(ledger.total_change(each.entries for each in moving))
        assert moved is not None, "what is posted takes no more than its grants have"
        touched = self.ledger.write(moving)
        self._warn(moved)
        self.end([each for each in touched if each.available and each.has_ended(self.now)])
        return moved.balance

    def end(self, grants: Sequence[Grant]) -> None:
        """Takes away what is left of grants that have ended, and says so."""
        for grant in grants:
            shares = [Share(grant.id, grant.available)]
            if grant.revoke_time is not None:
                transaction = self.transaction(
                    Kind.REVOKE,
                    ledger.take_back(shares),
                    TransactionType.ADJUSTMENT,
                    description="Credits that returned to a revoked grant.",
                    corrected_transaction_id=grant.transaction_id,
                )
                balance = self.post([transaction])
                self.facts.revoked(
                    self.connection, self.caller, transaction, grant.id, balance.available
                )
            else:
                transaction = self.transaction(
                    Kind.LAPSE,
                    ledger.lapse(shares),
                    TransactionType.EXPIRY,
                    description="Credits that were not used in time.",
                    corrected_transaction_id=grant.transaction_id,
                )
                balance = self.post([transaction])
                self.facts.expired(
                    self.connection, self.caller, transaction, grant.id, balance.available
                )

    def end_overdue(self) -> int:
        """Ends grants that have run out of time, a bounded number; says how many."""
        self.balances.lock()
        overdue = self.grants.overdue(self.now, LAPSED_MAX)
        self.end(overdue)
        return len(overdue)

    def add_grant(self, grant: Grant, description: str, **fields: Any) -> Transaction:
        """Brings credits in; the grant names its transaction and has nothing available yet."""
        transaction = self.transaction(
            Kind.GRANT,
            ledger.grant(grant.id, grant.credits),
            grant.transaction_type,
            description=description,
            reason=grant.reason,
            **fields,
        )
        self.grants.add(replace(grant, transaction_id=transaction.id))
        balance = self.post([transaction])
        self.facts.granted(self.connection, self.caller, transaction, balance.available)
        return transaction

    def new_grant(
        self, *, key: str, transaction_type: TransactionType, credits_granted: int, **fields: Any
    ) -> Grant:
        """A grant of this account, to be added."""
        defaults = {"expire_time": None, "revoke_time": None, "reason": ""}
        return Grant(
            id=ids.new_id(),
            account_id=self.caller.account_id,
            key=key,
            transaction_id="",
            transaction_type=transaction_type,
            credits=credits_granted,
            available=0,
            principal=actor_of(self.caller),
            create_time=self.now,
            **{**defaults, **fields},
        )

    def look_again(self) -> None:
        """Has thresholds looked at with the next posting, because plan or period have changed."""
        self.balances.set_low_at(CREDITS_MAX)

    def _warn(self, moved: Moved) -> None:
        """Tells thresholds that available credits have fallen to, each once a period."""
        available = moved.balance.available
        if available > moved.low_at:
            return
        subscription = self.accounts.subscription()
        if subscription is None:
            self.balances.set_low_at(NEVER)
            return
        plan = CatalogueStore(self.connection).plan(subscription.plan)
        assert plan is not None, "a subscription refers to its plan"
        thresholds = {percent: plan.credits * percent // 100 for percent in _untold(subscription)}
        crossed = [percent for percent, least in thresholds.items() if available <= least]
        for percent in crossed:
            self.facts.low(
                self.connection,
                self.caller,
                plan=plan.name,
                percent=percent,
                threshold=thresholds[percent],
                available=available,
            )
        if crossed:
            self.accounts.change(replace(subscription, low_percent=crossed[-1]))
        ahead = [least for percent, least in thresholds.items() if percent not in crossed]
        self.balances.set_low_at(ahead[0] if ahead else NEVER)


def locked_journal(connection: Connection, caller: Caller, facts: Facts, moment: Moment) -> Journal:
    """The account's books, while everybody else who would write into them waits."""
    BalanceStore(connection, caller).lock()
    # The lock may have been waited for, so the time comes after it.
    return Journal(connection, caller, facts, read(connection, moment))


def _untold(subscription: Subscription) -> list[int]:
    told = subscription.low_percent
    return [percent for percent in LOW_PERCENTS if told is None or percent < told]


def _negative(change: Balance) -> Balance:
    return Balance(-change.granted, -change.available, -change.reserved, -change.spent)
