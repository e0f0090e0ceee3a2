"""Budgets: ceilings for sites, API keys and runs, checked where credits are reserved.

Whatever changes what is used holds the lock of the account's balance, so that of many calls no
two can pass a ceiling with the same credits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection

from chassis import ids
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import AlreadyExists, EtagMismatch, Forbidden
from chassis.pages import Page, PageQuery
from chassis.replies import Reply
from services.billing.domain import Budget, BudgetScope, Reservation, month_of
from services.billing.errors import InsufficientCredits
from services.billing.service.journal import Journal
from services.billing.store import BalanceStore, BudgetStore, DatabaseTime, Moment, read

_M = TypeVar("_M", bound=Message)
_ORDER = tuple(BudgetScope)
"""In this order ceilings are checked; the first that is too small is named."""


class Budgets:
    """Sets, changes and removes ceilings."""

    def __init__(self, database: Database, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._moment = moment

    async def create(
        self,
        caller: Caller,
        scope: BudgetScope,
        scope_id: str,
        credits_allowed: int,
        reply: Reply[Budget, _M],
    ) -> _M:
        """Sets a ceiling. Raises AlreadyExists, and Forbidden for a site that is not granted."""
        _check_granted(caller, scope, scope_id)

        def create(connection: Connection) -> Budget:
            BalanceStore(connection, caller).lock()
            store = BudgetStore(connection, caller)
            for existing in store.of({scope: scope_id}):
                raise AlreadyExists("budget", existing.id)
            budget = self._new(connection, caller, scope, scope_id, credits_allowed)
            store.add(budget)
            return budget

        return await self._database.write(
            lambda connection: reply.once(connection, lambda: create(connection))
        )

    async def get(self, caller: Caller, budget_id: str) -> Budget:
        """One budget and what is used in the running month. Raises NotFound."""

        def work(connection: Connection) -> Budget:
            budget = BudgetStore(connection, caller).get(budget_id)
            return _shown(budget, month_of(read(connection, self._moment)))

        return await self._database.read(work)

    async def page(
        self, caller: Caller, query: PageQuery, scope: BudgetScope | None, scope_id: str
    ) -> tuple[Page, str]:
        """Budgets, and the running month."""

        def work(connection: Connection) -> tuple[Page, str]:
            page = BudgetStore(connection, caller).page(query, scope, scope_id)
            return page, month_of(read(connection, self._moment))

        return await self._database.read(work)

    async def update(
        self, caller: Caller, budget_id: str, credits_allowed: int, etag: str
    ) -> Budget:
        """Changes a ceiling. Raises NotFound and EtagMismatch."""

        def work(connection: Connection) -> Budget:
            store, budget = self._locked(connection, caller, budget_id, etag)
            now = read(connection, self._moment)
            if budget.credits != credits_allowed:
                budget = store.set_credits(budget.id, credits_allowed, now)
            return _shown(budget, month_of(now))

        return await self._database.write(work)

    async def delete(self, caller: Caller, budget_id: str, etag: str) -> None:
        """Removes a ceiling. Raises NotFound and EtagMismatch."""

        def work(connection: Connection) -> None:
            store, budget = self._locked(connection, caller, budget_id, etag)
            store.remove(budget.id)

        await self._database.write(work)

    def _locked(
        self, connection: Connection, caller: Caller, budget_id: str, etag: str
    ) -> tuple[BudgetStore, Budget]:
        BalanceStore(connection, caller).lock()
        store = BudgetStore(connection, caller)
        budget = store.get(budget_id)
        if etag and etag != str(budget.revision):
            raise EtagMismatch("budget", str(budget.revision))
        return store, budget

    def _new(
        self,
        connection: Connection,
        caller: Caller,
        scope: BudgetScope,
        scope_id: str,
        credits_allowed: int,
    ) -> Budget:
        now = read(connection, self._moment)
        month = "" if scope is BudgetScope.RUN else month_of(now)
        return Budget(
            id=ids.new_id(),
            revision=1,
            scope=scope,
            scope_id=scope_id,
            credits=credits_allowed,
            used=BudgetStore(connection, caller).derived(scope, scope_id, month),
            month=month,
            create_time=now,
            update_time=now,
        )


def counted(
    journal: Journal, reservation: Reservation, wanted: int, run_cap: int | None
) -> list[Budget]:
    """The budgets of new reservations, which have site, key and run in common, with these.

    Notes nothing. Raises InsufficientCredits naming the ceiling.
    """
    found = journal.books.budgets(reservation.scopes)
    if run_cap is not None and reservation.run_id:
        found[BudgetScope.RUN] = _capped(
            journal, found.get(BudgetScope.RUN), reservation.run_id, run_cap
        )
    if not found:
        return []
    month = month_of(reservation.create_time)
    for budget in (found[scope] for scope in _ORDER if scope in found):
        used = budget.used_in(month)
        if budget.is_past(month):
            used = _derived(journal, budget.scope, budget.scope_id, month)
        available = max(0, budget.credits - used)
        if wanted > available:
            raise InsufficientCredits(
                required=wanted,
                available=available,
                limit=budget.scope,
                limit_id=budget.scope_id,
            )
    return [budget.with_use(month, wanted) for budget in found.values()]


def give_back_to_budgets(journal: Journal, reservation: Reservation, credits_returned: int) -> None:
    """Counts down what a reservation held and did not use."""
    if not credits_returned:
        return
    for budget in journal.books.budgets(reservation.scopes).values():
        month = month_of(reservation.create_time)
        after = budget.with_return(month, credits_returned)
        if after is not budget:
            journal.books.set_budget(after)


def _capped(journal: Journal, known: Budget | None, run_id: str, run_cap: int) -> Budget:
    """The last word of whoever owns the run is its budget."""
    if known is None:
        return Budget(
            id=ids.new_id(),
            revision=1,
            scope=BudgetScope.RUN,
            scope_id=run_id,
            credits=run_cap,
            used=_derived(journal, BudgetScope.RUN, run_id, ""),
            month="",
            create_time=journal.now,
            update_time=journal.now,
        )
    if known.credits == run_cap:
        return known
    return replace(known, credits=run_cap, revision=known.revision + 1, update_time=journal.now)


def _derived(journal: Journal, scope: BudgetScope, scope_id: str, month: str) -> int:
    journal.flush()
    return BudgetStore(journal.connection, journal.caller).derived(scope, scope_id, month)


def _check_granted(caller: Caller, scope: BudgetScope, scope_id: str) -> None:
    sites = caller.allowed_sites
    if sites is not None and not (scope is BudgetScope.SITE and scope_id in sites):
        raise Forbidden("SITE_FORBIDDEN", "This key may set budgets of its own sites only.")


def _shown(budget: Budget, month: str) -> Budget:
    return replace(budget, used=budget.used_in(month))
