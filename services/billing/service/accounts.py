"""Accounts: opening them, what they have, what changed it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row

from chassis.caller import Caller
from chassis.database import Database
from chassis.outbox import Outbox
from chassis.pages import Page, PageQuery
from services.billing.domain import PLAN_DEFAULT, Account, Share, TransactionType
from services.billing.service.journal import open_journal
from services.billing.service.plans import find_plan, start_plan
from services.billing.store import AccountStore, DatabaseTime, LedgerStore, Moment


class Accounts:
    """Opens accounts and answers what they have."""

    def __init__(self, database: Database, outbox: Outbox, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._outbox = outbox
        self._moment = moment

    async def open(self, caller: Caller, plan_name: str = "") -> Account:
        """Puts the account on a plan and grants its credits, unless it is on one already.

        Raises UnknownPlan.
        """

        def work(connection: Connection) -> Account:
            plan = find_plan(connection, plan_name or PLAN_DEFAULT)
            with open_journal(connection, caller, self._outbox, self._moment) as journal:
                subscription = journal.accounts.subscribe(plan.name, journal.now)
                if subscription is not None:
                    start_plan(journal, plan, subscription)
            return AccountStore(connection, caller).account()

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

    async def transaction(
        self, caller: Caller, transaction_id: str
    ) -> tuple[Row[Any], list[Share]]:
        """One change, and its effect on each grant. Raises NotFound."""

        def work(connection: Connection) -> tuple[Row[Any], list[Share]]:
            return LedgerStore(connection, caller).listed(transaction_id)

        return await self._database.read(work)
