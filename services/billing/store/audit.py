"""Compares what is stored twice: the ledger against its projections, the holds and the usage.

Looks across accounts, page by page; only the reconcile command uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    union,
)

from chassis.caller import Caller
from services.billing import schema
from services.billing.domain import Balance, Budget
from services.billing.ledger import Kind, LedgerAccount, change
from services.billing.store.budgets import BudgetStore, budget_from_row
from services.billing.store.grants import Drifting, drifting

_balances = schema.account_balances
_entries = schema.ledger_entries
_transactions = schema.ledger_transactions
_reservations = schema.reservations
_usage = schema.usage_records
_grants = schema.grants
_budgets = schema.budgets


@dataclass(frozen=True, slots=True)
class Books:
    """What the different books say of one account."""

    account_id: str
    derived: Balance
    """The sum of the entries, which is the truth."""
    projected: Balance | None
    """The row that calls go by; None when it is missing, which changes no answer."""
    held: int
    """Credits of open reservations."""
    charged: int
    """Credits of committed reservations."""
    deducted: int
    """Credits of the deductions that are listed."""
    listed: int
    """What all that is listed adds up to."""
    used: int
    """Credits of the usage records."""


class Audit:
    """Reads the books of many accounts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def accounts(self, after: str, limit: int) -> list[str]:
        """The next accounts that have a balance, a grant, a reservation or a budget."""
        tables = (_balances, _entries, _transactions, _grants, _reservations, _budgets, _usage)
        named = union(
            *(select(table.c.account_id).where(table.c.account_id > after) for table in tables)
        ).subquery()
        statement = select(named.c.account_id).order_by(named.c.account_id).limit(limit)
        return list(self._connection.scalars(statement))

    def books(self, account_ids: Sequence[str]) -> list[Books]:
        """The books of these accounts, in their order."""
        derived = self._derived(account_ids)
        projected = {
            row.account_id: Balance(row.granted, row.available, row.reserved, row.spent)
            for row in self._connection.execute(
                select(_balances).where(_balances.c.account_id.in_(account_ids))
            )
        }
        is_open = _reservations.c.state == literal_column("'open'")
        is_deduction = _transactions.c.transaction_type == literal_column("'deduction'")
        held = self._sums(account_ids, _reservations.c.credits_reserved, is_open)
        charged = self._sums(account_ids, _reservations.c.credits_charged)
        deducted = self._sums(account_ids, _transactions.c.amount, is_deduction)
        listed = self._sums(account_ids, _transactions.c.amount)
        used = self._sums(account_ids, _usage.c.credits)
        return [
            Books(
                account_id=each,
                derived=derived.get(each, Balance()),
                projected=projected.get(each),
                held=held.get(each, 0),
                charged=charged.get(each, 0),
                deducted=-deducted.get(each, 0),
                listed=listed.get(each, 0),
                used=used.get(each, 0),
            )
            for each in account_ids
        ]

    def unbalanced(self, account_ids: Sequence[str], limit: int) -> list[tuple[str, str]]:
        """Account and id of transactions that do not sum to zero, misstate their amount or have
        no entries.

        To zero for each grant apart. The database refuses to write others; somebody who
        switched its triggers off may have.
        """
        effect = case(
            (_entries.c.ledger_account.in_(("available", "reserved")), _entries.c.amount),
            else_=literal_column("0"),
        )
        by_grant = (
            select(_entries.c.account_id, _entries.c.transaction_id)
            .where(_entries.c.account_id.in_(account_ids))
            .group_by(_entries.c.account_id, _entries.c.transaction_id, _entries.c.grant_id)
            .having(func.sum(_entries.c.amount) != 0)
        )
        misstated = (
            select(_entries.c.account_id, _entries.c.transaction_id)
            .join(_transactions, _transactions.c.id == _entries.c.transaction_id, isouter=True)
            .where(_entries.c.account_id.in_(account_ids))
            .group_by(_entries.c.account_id, _entries.c.transaction_id, _transactions.c.amount)
            .having(
                or_(
                    _transactions.c.amount.is_(None),
                    func.sum(effect) != _transactions.c.amount,
                )
            )
        )
        empty = select(_transactions.c.account_id, _transactions.c.id).where(
            _transactions.c.account_id.in_(account_ids),
            ~exists().where(_entries.c.transaction_id == _transactions.c.id),
        )
        wrong = union(by_grant, misstated, empty).limit(limit)
        return [(account, transaction) for account, transaction in self._connection.execute(wrong)]

    def grants(self, account_ids: Sequence[str], limit: int) -> list[Drifting]:
        """Grants of which more or less is left than the entries say."""
        return drifting(self._connection, account_ids, limit)

    def charges(self, account_ids: Sequence[str], limit: int) -> list[tuple[str, str, int, int]]:
        """Account and id of reservations that were charged otherwise than was deducted and is
        shown as used, with both."""
        deducted = func.coalesce(-_transactions.c.amount, 0)
        used = func.coalesce(_usage.c.credits, 0)
        charged = _reservations.c.credits_charged
        statement = (
            select(_reservations.c.account_id, _reservations.c.id, deducted, used)
            .outerjoin(
                _transactions,
                and_(
                    _transactions.c.reservation_id == _reservations.c.id,
                    _transactions.c.kind == Kind.COMMIT,
                ),
            )
            .outerjoin(_usage, _usage.c.reservation_id == _reservations.c.id)
            .where(
                _reservations.c.account_id.in_(account_ids),
                or_(deducted != charged, used != charged),
            )
            .order_by(_reservations.c.account_id, _reservations.c.id)
            .limit(limit)
        )
        return [
            (account_id, id_, int(was_deducted), int(shown))
            for account_id, id_, was_deducted, shown in self._connection.execute(statement)
        ]

    def budgets(self, account_ids: Sequence[str]) -> list[tuple[str, Budget, int]]:
        """Account, budget and what is used of it as the reservations say, for those that differ."""
        rows = self._connection.execute(
            select(_budgets).where(_budgets.c.account_id.in_(account_ids)).order_by(_budgets.c.id)
        ).all()
        found = []
        for row in rows:
            budget = budget_from_row(row)
            caller = Caller.service("billing", account_id=row.account_id)
            store = BudgetStore(self._connection, caller)
            used = store.derived(budget.scope, budget.scope_id, budget.month)
            if used != budget.used:
                found.append((row.account_id, budget, used))
        return found

    def _derived(self, account_ids: Sequence[str]) -> Mapping[str, Balance]:
        sums: dict[str, list[tuple[LedgerAccount, int]]] = {}
        for row in self._connection.execute(
            select(_entries.c.account_id, _entries.c.ledger_account, func.sum(_entries.c.amount))
            .where(_entries.c.account_id.in_(account_ids))
            .group_by(_entries.c.account_id, _entries.c.ledger_account)
        ):
            account_id, ledger_account, amount = row
            sums.setdefault(account_id, []).append((LedgerAccount(ledger_account), int(amount)))
        return {account_id: change(entries) for account_id, entries in sums.items()}

    def _sums(
        self,
        account_ids: Sequence[str],
        column: ColumnElement[int],
        *conditions: ColumnElement[bool],
    ) -> Mapping[str, int]:
        table = column.table
        statement = (
            select(table.c.account_id, func.sum(column))
            .where(table.c.account_id.in_(account_ids), *conditions)
            .group_by(table.c.account_id)
        )
        return {
            account_id: int(amount) for account_id, amount in self._connection.execute(statement)
        }
