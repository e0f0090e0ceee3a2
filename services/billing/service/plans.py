"""Plans: a period's credits are granted once, however often and however late somebody looks.

Periods that nobody looked at are not granted afterwards: their credits would have expired.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from chassis.access import require_whole_account
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import NotFound
from chassis.outbox import Outbox
from services.billing.domain import PLAN_PRIORITY, Account, Plan, Subscription, TransactionType
from services.billing.errors import TooManyCredits, UnknownPlan
from services.billing.service.journal import Journal, open_journal
from services.billing.store import AccountStore, CatalogueStore, DatabaseTime, Moment


class Plans:
    """Changes an account's plan."""

    def __init__(self, database: Database, outbox: Outbox, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._outbox = outbox
        self._moment = moment

    async def change(self, caller: Caller, plan_name: str) -> Account:
        """A larger plan from now on, a smaller one from the next period on.

        Raises Forbidden for a caller who is limited to some sites, UnknownPlan, NotFound for an
        account that was never opened, and TooManyCredits.
        """
        require_whole_account(caller)

        def work(connection: Connection) -> Account:
            plan = find_plan(connection, plan_name)
            with open_journal(connection, caller, self._outbox, self._moment) as journal:
                renew_if_due(journal)
                subscription = journal.accounts.subscription()
                if subscription is None:
                    raise NotFound("credit account", caller.account_id)
                current = find_plan(connection, subscription.plan)
                if plan.credits < current.credits:
                    journal.accounts.change(replace(subscription, next_plan=plan.name))
                else:
                    if plan.credits - subscription.period_credits > journal.room():
                        raise TooManyCredits(journal.room(), "plan")
                    changed = replace(subscription, plan=plan.name, next_plan="")
                    start_plan(journal, plan, changed)
            return AccountStore(connection, caller).account()

        return await self._database.write(work)


def find_plan(connection: Connection, name: str) -> Plan:
    """The plan with this name. Raises UnknownPlan."""
    plan = CatalogueStore(connection).plan(name)
    if plan is None:
        raise UnknownPlan(name)
    return plan


def renew_if_due(journal: Journal) -> bool:
    """Begins the account's present period if the stored one has ended; says whether it had.

    The account is locked before, so that of many who look one begins the period.
    """
    subscription = journal.accounts.subscription()
    if subscription is None or subscription.period_end_time > journal.now:
        return False
    plan = find_plan(journal.connection, subscription.next_plan or subscription.plan)
    journal.end_overdue()
    begun = replace(
        subscription,
        plan=plan.name,
        next_plan="",
        period=subscription.period_at(journal.now),
        period_credits=0,
        low_percent=None,
    )
    start_plan(journal, plan, begun)
    return True


def start_plan(journal: Journal, plan: Plan, subscription: Subscription) -> None:
    """Stores the subscription, and grants what the plan has more than its period was granted.

    No more than the account can hold: a period begins also where it would bring too much.
    """
    missing = max(0, min(plan.credits - subscription.period_credits, journal.room()))
    total = subscription.period_credits + missing
    journal.accounts.change(replace(subscription, period_credits=total))
    journal.look_again()
    if not missing:
        journal.warn()
        return
    start = subscription.period_start_time
    grant = journal.new_grant(
        # Unique in the account: whatever else fails, this is granted once.
        key=f"plan/{start.isoformat(timespec='milliseconds')}/{total}",
        transaction_type=TransactionType.SUBSCRIPTION,
        credits_granted=missing,
        priority=PLAN_PRIORITY,
        expire_time=subscription.period_end_time,
    )
    journal.add_grant(
        grant, f"Credits of the plan {plan.name} for the month from {start:%Y-%m-%d}."
    )
