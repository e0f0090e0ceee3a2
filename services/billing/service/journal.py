"""One caller at work in one account's books: postings, and what follows from them at once.

Two things follow: what returns to a grant that has ended leaves again, and thresholds that
available credits fall to are told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from chassis import ids
from chassis.caller import Caller
from chassis.outbox import Outbox
from services.billing import events, ledger
from services.billing.domain import (
    CREDITS_MAX,
    LOW_PERCENTS,
    Balance,
    Grant,
    Share,
    Subscription,
    TransactionType,
)
from services.billing.ledger import Entries, Kind, Transaction
from services.billing.store import (
    AccountBooks,
    AccountStore,
    CatalogueStore,
    GrantStore,
    LedgerStore,
    Moment,
    UnitOfWork,
    actor_of,
)

NEVER = -1
"""As a threshold: available credits do not fall to it."""
LAPSED_MAX = 100
"""Grants past their time that one transaction ends at most."""


class Journal:
    """Chooses whose credits burn, posts, and tells.

    What was posted is written when the unit of work is flushed: flush before a look into the
    stores.
    """

    def __init__(self, books: AccountBooks, caller: Caller) -> None:
        self.books = books
        self.caller = caller
        self.connection = books.unit.connection

    # Most calls need none of the stores, and there are many calls.
    @cached_property
    def accounts(self) -> AccountStore:
        """The account's subscription."""
        return AccountStore(self.connection, self.caller)

    @cached_property
    def grants(self) -> GrantStore:
        """The account's grants."""
        return GrantStore(self.connection, self.caller)

    @cached_property
    def ledger(self) -> LedgerStore:
        """What was posted."""
        return LedgerStore(self.connection, self.caller)

    @property
    def now(self) -> datetime:
        """The database's time since the account was locked."""
        return self.books.now

    def flush(self) -> None:
        """Writes what was noted, so that the stores know of it."""
        self.books.unit.flush()

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

    def usable(self) -> int:
        """Credits that could be reserved now: without grants that have ended, swept or not."""
        return sum(grant.available for grant in self.books.usable())

    def choose(self, wanted: int) -> list[Share] | None:
        """Where so many credits come from, in burn order; None when usable grants have less."""
        shares: list[Share] = []
        for grant in self.books.usable():
            if not wanted:
                break
            taken = min(wanted, grant.available)
            shares.append(Share(grant.id, taken))
            wanted -= taken
        return None if wanted else shares

    def post(self, transactions: Sequence[Transaction]) -> Balance:
        """Posts what moves credits, with all that follows from it; returns the balance."""
        moving = [each for each in transactions if each.entries]
        if moving:
            touched = self.books.write(moving)
            balance = self.books.balance
            self.warn()
            self.end([each for each in touched if each.available and each.has_ended(self.now)])
            return balance
        return self.books.balance

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
                    reason=grant.revoke_reason,
                    corrected_transaction_id=grant.transaction_id,
                )
                tell = events.revoked
            else:
                transaction = self.transaction(
                    Kind.LAPSE,
                    ledger.lapse(shares),
                    TransactionType.EXPIRY,
                    description="Credits that were not used in time.",
                    corrected_transaction_id=grant.transaction_id,
                )
                tell = events.expired
            balance = self.post([transaction])
            self.books.tell(tell(self.caller, transaction, grant.id, balance.available))

    def end_overdue(self) -> int:
        """Ends grants that have run out of time, a bounded number; says how many."""
        self.flush()
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
        self.books.add_grant(replace(grant, transaction_id=transaction.id))
        balance = self.post([transaction])
        self.books.tell(events.granted(self.caller, transaction, balance.available))
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
        self.books.set_low_at(CREDITS_MAX)

    def room(self) -> int:
        """Credits that may still come in: more than that no contract could show."""
        return CREDITS_MAX - self.books.balance.granted

    def warn(self) -> None:
        """Tells thresholds that available credits have fallen to, each once a period."""
        available = self.books.balance.available
        if available > self.books.low_at:
            return
        subscription = self.accounts.subscription()
        if subscription is None:
            self.books.set_low_at(NEVER)
            return
        if subscription.period_end_time <= self.now:
            # The next period's credits are due; what is left is looked at when they have come.
            return
        plan = CatalogueStore(self.connection).plan(subscription.plan)
        assert plan is not None, "a subscription refers to its plan"
        thresholds = {percent: plan.credits * percent // 100 for percent in _untold(subscription)}
        crossed = [percent for percent, least in thresholds.items() if available <= least]
        for percent in crossed:
            fact = events.low(
                self.caller,
                plan=plan.name,
                percent=percent,
                threshold=thresholds[percent],
                available=available,
            )
            self.books.tell(fact)
        if crossed:
            self.accounts.change(replace(subscription, low_percent=crossed[-1]))
        ahead = [least for percent, least in thresholds.items() if percent not in crossed]
        self.books.set_low_at(ahead[0] if ahead else NEVER)


class Busy(Exception):
    """Somebody else has locked the account."""


@contextmanager
def open_journal(
    connection: Connection, caller: Caller, outbox: Outbox, moment: Moment, *, wait: bool = True
) -> Iterator[Journal]:
    """The account's books, locked; what was noted is written at the end of the block.

    Raises Busy where it would have to wait for the lock, and was told not to.
    """
    unit = UnitOfWork(connection, outbox, moment)
    if wait:
        unit.open([caller.account_id])
    elif not unit.open_free([caller.account_id]):
        raise Busy
    yield Journal(unit.books(caller.account_id), caller)
    unit.flush()


def _untold(subscription: Subscription) -> list[int]:
    told = subscription.low_percent
    return [percent for percent in LOW_PERCENTS if told is None or percent < told]
