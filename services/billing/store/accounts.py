"""Subscription of one account: its plan and period."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from chassis.caller import Caller
from chassis.statements import insert_if_absent
from chassis.tenancy import visible
from services.billing import schema
from services.billing.domain import Account, Subscription
from services.billing.store.balances import BalanceStore

_table = schema.subscriptions


class AccountStore:
    """What an account has, and its plan."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller
        self._own = visible(_table, caller)

    def account(self) -> Account:
        """Balance and plan; zeros and no plan for an account that was never opened."""
        return Account(BalanceStore(self._connection, self._caller).get(), self.subscription())

    def subscription(self) -> Subscription | None:
        """The plan and its period; None for an account that was never opened."""
        row = self._connection.execute(select(_table).where(*self._own)).one_or_none()
        if row is None:
            return None
        return Subscription(
            plan=row.plan,
            period=row.period,
            anchor_time=row.anchor_time,
            period_credits=row.period_credits,
            next_plan=row.next_plan or "",
            low_percent=row.low_percent,
        )

    def subscribe(self, plan: str, anchor_time: datetime) -> Subscription | None:
        """Puts the account on a plan; None when it is on one already."""
        subscription = Subscription(plan, 0, anchor_time)
        inserted = insert_if_absent(
            self._connection,
            _table,
            account_id=self._caller.account_id,
            **_values(subscription),
            create_time=anchor_time,
        )
        return subscription if inserted else None

    def change(self, subscription: Subscription) -> None:
        """Stores the subscription; whoever calls this read it under the balance's lock."""
        self._connection.execute(update(_table).where(*self._own).values(**_values(subscription)))


def _values(subscription: Subscription) -> dict[str, Any]:
    return {
        "plan": subscription.plan,
        "next_plan": subscription.next_plan or None,
        "anchor_time": subscription.anchor_time,
        "period": subscription.period,
        "period_credits": subscription.period_credits,
        "low_percent": subscription.low_percent,
        "period_end_time": subscription.period_end_time,
    }
