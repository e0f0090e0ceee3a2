"""Writes postings, and lists what they did to an account's credits."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, insert, literal_column, or_, select

from chassis.caller import Caller
from chassis.pages import Page, PageQuery, paginate
from services.billing import schema
from services.billing.domain import Balance, TransactionType
from services.billing.ledger import Transaction, total_change
from services.billing.store.balances import BalanceStore

_transactions = schema.ledger_transactions


class LedgerStore:
    """The append-only ledger of one account."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def post(self, transactions: Sequence[Transaction]) -> Balance | None:
        """Moves the balance and writes the transactions with their entries, all or none.

        Answers the balance afterwards, or None when too little is available. Transactions
        that move nothing are left out. Raises ValueError for one of another account.
        """
        if any(each.account_id != self._caller.account_id for each in transactions):
            raise ValueError("a transaction belongs to another account")
        moving = [each for each in transactions if each.entries]
        balances = BalanceStore(self._connection, self._caller)
        if not moving:
            return balances.get()
        balance = balances.move(total_change(each.entries for each in moving))
        if balance is None:
            return None
        # Entries go first: the insert of their transaction checks and seals them.
        self._connection.execute(
            insert(schema.ledger_entries),
            [
                {
                    "transaction_id": each.id,
                    "ledger_account": ledger_account,
                    "account_id": each.account_id,
                    "amount": amount,
                }
                for each in moving
                for ledger_account, amount in each.entries.items()
            ],
        )
        self._connection.execute(insert(_transactions), [_row(each) for each in moving])
        return balance

    def page(self, query: PageQuery, transaction_type: TransactionType | None) -> Page:
        """Transactions that changed the account's credits, newest first by default."""
        # A literal, as the partial index has it: with a parameter no planner would use it.
        statement = select(_transactions).where(
            *self._visible(), _transactions.c.amount != literal_column("0")
        )
        if transaction_type is not None:
            statement = statement.where(_transactions.c.transaction_type == transaction_type)
        return paginate(
            self._connection,
            statement,
            query,
            sortable={"created_at": _transactions.c.create_time},
            default="-created_at",
            tie=_transactions.c.id,
        )

    def _visible(self) -> list[ColumnElement[bool]]:
        """The account's, narrowed to the chosen site, or to granted sites and what has none."""
        columns, caller = _transactions.c, self._caller
        conditions: list[ColumnElement[bool]] = [columns.account_id == caller.account_id]
        if caller.site_id:
            conditions.append(columns.site_id == caller.site_id)
        if caller.allowed_sites is not None:
            # Grants belong to no site; whoever may see the balance may see where it came from.
            conditions.append(or_(columns.site_id == "", columns.site_id.in_(caller.allowed_sites)))
        return conditions


def _row(transaction: Transaction) -> dict[str, object]:
    return {
        "id": transaction.id,
        "account_id": transaction.account_id,
        "kind": transaction.kind,
        "transaction_type": transaction.transaction_type,
        "amount": transaction.amount,
        "description": transaction.description,
        "operation": transaction.operation,
        "reservation_id": transaction.reservation_id,
        "corrected_transaction_id": transaction.corrected_transaction_id,
        "site_id": transaction.site_id,
        "sector_id": transaction.sector_id,
        "run_id": transaction.run_id,
        "request_id": transaction.request_id,
        "principal": transaction.principal,
        "create_time": transaction.create_time,
    }
