"""Accounts: opening them, what they have, what changed it."""

from __future__ import annotations

from sqlalchemy import Connection

from chassis import clock, ids
from chassis.caller import Caller
from chassis.database import Database
from chassis.pages import Page, PageQuery
from services.billing import ledger
from services.billing.domain import (
    PLAN_DEFAULT,
    Account,
    Operation,
    Plan,
    Subscription,
    TransactionType,
)
from services.billing.errors import UnknownPlan
from services.billing.events import Facts
from services.billing.store import AccountStore, CatalogueStore, LedgerStore, UsageStore

PLAN_PRIORITY = 10
"""Plan credits burn before purchased ones; lower burns first."""


class Accounts:
    """Opens accounts and answers what they have."""

    def __init__(self, database: Database, facts: Facts) -> None:
        self._database = database
        self._facts = facts

    async def open(self, caller: Caller, plan_name: str = "") -> Account:
        """Puts the account on a plan and grants its credits, unless it is on one already.

        Raises UnknownPlan.
        """

        def work(connection: Connection) -> Account:
            name = plan_name or PLAN_DEFAULT
            plan = CatalogueStore(connection).plan(name)
            if plan is None:
                raise UnknownPlan(name)
            accounts = AccountStore(connection, caller)
            subscription = accounts.subscribe(plan.name, clock.now())
            if subscription is not None and plan.credits > 0:
                self._grant_period(connection, caller, plan, subscription)
            return accounts.account()

        return await self._database.write(work)

    async def get(self, caller: Caller) -> Account:
        """Balance and plan; zeros for an account that was never opened."""

        def work(connection: Connection) -> Account:
            return AccountStore(connection, caller).account()

        return await self._database.read(work)

    async def transactions(
        self, caller: Caller, query: PageQuery, transaction_type: TransactionType | None
    ) -> Page:
        """What changed the account's credits."""

        def work(connection: Connection) -> Page:
            return LedgerStore(connection, caller).page(query, transaction_type)

        return await self._database.read(work)

    async def usage(
        self, caller: Caller, query: PageQuery, operation: Operation | None, run_id: str
    ) -> Page:
        """The account's AI calls."""

        def work(connection: Connection) -> Page:
            return UsageStore(connection, caller).page(query, operation, run_id)

        return await self._database.read(work)

    def _grant_period(
        self, connection: Connection, caller: Caller, plan: Plan, subscription: Subscription
    ) -> None:
        """Grants a plan's credits for a period; the grant's key allows it once."""
        now = clock.now()
        start = subscription.period_start_time
        transaction = ledger.Transaction(
            id=ids.new_id(),
            account_id=caller.account_id,
            kind=ledger.Kind.GRANT,
            transaction_type=TransactionType.SUBSCRIPTION,
            entries=ledger.grant(plan.credits),
            description=f"Credits of the plan {plan.name} for the month from {start:%Y-%m-%d}.",
            request_id=caller.request_id,
            principal=caller.principal,
            create_time=now,
        )
        balance = LedgerStore(connection, caller).post([transaction])
        assert balance is not None, "a grant takes nothing"
        AccountStore(connection, caller).add_grant(
            key=f"plan/{start.isoformat(timespec='milliseconds')}",
            transaction_id=transaction.id,
            credits_granted=plan.credits,
            priority=PLAN_PRIORITY,
            expire_time=subscription.period_end_time,
            create_time=now,
        )
        self._facts.granted(connection, caller, transaction, balance.available)
