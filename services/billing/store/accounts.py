"""Subscription and grants of one account."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select

from chassis import ids
from chassis.caller import Caller
from chassis.statements import insert_if_absent
from chassis.tenancy import visible
from services.billing import schema
from services.billing.domain import Account, Subscription
from services.billing.store.balances import BalanceStore


class AccountStore:
    """What an account has, and its plan."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def account(self) -> Account:
        """Balance and plan; zeros and no plan for an account that was never opened."""
        row = self._connection.execute(
            select(schema.subscriptions).where(*visible(schema.subscriptions, self._caller))
        ).one_or_none()
        subscription = (
            Subscription(row.plan, row.period, row.anchor_time) if row is not None else None
        )
        return Account(BalanceStore(self._connection, self._caller).get(), subscription)

    def subscribe(self, plan: str, anchor_time: datetime) -> Subscription | None:
        """Puts the account on a plan; None when it is on one already."""
        subscription = Subscription(plan, 0, anchor_time)
        inserted = insert_if_absent(
            self._connection,
            schema.subscriptions,
            account_id=self._caller.account_id,
            plan=plan,
            anchor_time=anchor_time,
            period=0,
            period_end_time=subscription.period_end_time,
            create_time=anchor_time,
        )
        return subscription if inserted else None

    def add_grant(
        self,
        *,
        key: str,
        transaction_id: str,
        credits_granted: int,
        priority: int,
        expire_time: datetime | None,
        create_time: datetime,
    ) -> None:
        """Notes a grant. Its key is unique in the account, so nothing is granted twice."""
        self._connection.execute(
            insert(schema.grants).values(
                id=ids.new_id(),
                account_id=self._caller.account_id,
                key=key,
                transaction_id=transaction_id,
                credits=credits_granted,
                priority=priority,
                expire_time=expire_time,
                create_time=create_time,
            )
        )
