"""Proves that all books agree, and derives projections anew where they do not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from services.billing.domain import Balance
from services.billing.store import Audit, BalanceStore, Books, BudgetStore, GrantStore

ACCOUNTS_PER_PAGE = 200
"""Accounts that one snapshot compares."""
NAMED_MAX = 100
"""Of each kind of what is wrong with one thing: so many are named for a page of accounts."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Two books that do not agree."""

    account_id: str
    what: str
    expected: str
    found: str
    is_projection: bool = False
    """Whether it can be derived anew; of other books nobody can say which is right."""

    def __str__(self) -> str:
        return f"{self.account_id}: {self.what}: expected {self.expected}, found {self.found}"


class Reconciliation:
    """Compares the books of every account."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def drifts(self) -> AsyncIterator[Drift]:
        """Every disagreement; each page of accounts is one consistent snapshot."""
        after = ""
        while True:

            def work(connection: Connection, after: str = after) -> tuple[list[str], list[Drift]]:
                return _compare(Audit(connection), after)

            account_ids, found = await self._database.read(work)
            for drift in found:
                yield drift
            if len(account_ids) < ACCOUNTS_PER_PAGE:
                return
            after = account_ids[-1]

    async def rebuild(self, account_id: str) -> Balance:
        """Derives one account's projections anew, while its other writers wait."""
        caller = Caller.service("billing", account_id=account_id)

        def work(connection: Connection) -> Balance:
            balance = BalanceStore(connection, caller).rebuild()
            GrantStore(connection, caller).rebuild()
            BudgetStore(connection, caller).rebuild()
            return balance

        return await self._database.write(work)


def _compare(audit: Audit, after: str) -> tuple[list[str], list[Drift]]:
    account_ids = audit.accounts(after, ACCOUNTS_PER_PAGE)
    if not account_ids:
        return [], []
    found = [drift for books in audit.books(account_ids) for drift in _disagreements(books)]
    found += [
        Drift(account_id, f"transaction {transaction_id}", "a sum of zero", "another")
        for account_id, transaction_id in audit.unbalanced(account_ids, NAMED_MAX)
    ]
    found += [
        Drift(
            each.account_id,
            f"left of grant {each.id}",
            str(each.derived),
            str(each.available),
            is_projection=True,
        )
        for each in audit.grants(account_ids, NAMED_MAX)
    ]
    found += [
        Drift(account_id, f"usage of reservation {reservation_id}", str(deducted), str(used))
        for account_id, reservation_id, deducted, used in audit.charges(account_ids, NAMED_MAX)
    ]
    found += [
        Drift(
            account_id,
            f"used of the {budget.scope} budget of {budget.scope_id}",
            str(expected),
            str(budget.used),
            is_projection=True,
        )
        for account_id, budget, expected in audit.budgets(account_ids)
    ]
    return account_ids, found


def _disagreements(books: Books) -> Iterator[Drift]:
    derived = books.derived
    if books.projected is not None and books.projected != derived:
        found = str(books.projected)
        yield Drift(books.account_id, "projected balance", str(derived), found, is_projection=True)
    pairs = (
        ("open reservations", derived.reserved, books.held),
        ("committed reservations", books.deducted, books.charged),
        ("usage records", books.deducted, books.used),
        ("listed transactions", derived.available + derived.reserved, books.listed),
    )
    for what, expected, is_said in pairs:
        if expected != is_said:
            yield Drift(books.account_id, what, str(expected), str(is_said))
