"""Writes postings, and lists what they did to an account's credits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, literal_column, or_, select

from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.pages import COUNTED_MAX, Page, PageQuery, paginate
from chassis.statements import insert_rows
from services.billing import schema
from services.billing.domain import Share, TransactionType
from services.billing.ledger import LedgerAccount, Transaction
from services.billing.store.rows import values_of

_transactions = schema.ledger_transactions
_entries = schema.ledger_entries
_columns = values_of([str(column.name) for column in _transactions.columns])
# A literal, as the partial indexes have it: with a parameter no planner would use them.
_LISTED = _transactions.c.amount != literal_column("0")


class LedgerStore:
    """Reads the append-only ledger of one account."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller
        self._own = _transactions.c.account_id == caller.account_id

    def page(self, query: PageQuery, transaction_type: TransactionType | None) -> Page:
        """Transactions that changed the account's credits, newest first by default."""
        statement = select(_transactions).where(*self._visible(), _LISTED)
        if transaction_type is not None:
            statement = statement.where(_transactions.c.transaction_type == transaction_type)
        return paginate(
            self._connection,
            statement,
            query,
            sortable={"created_at": _transactions.c.create_time},
            default="-created_at",
            tie=_transactions.c.id,
            count_max=COUNTED_MAX,
        )

    def listed(self, transaction_id: str) -> tuple[Row[Any], list[Share]]:
        """A listed transaction and its effect on each grant. Raises NotFound."""
        row = self._connection.execute(
            select(_transactions).where(
                *self._visible(), _LISTED, _transactions.c.id == transaction_id
            )
        ).one_or_none()
        if row is None:
            raise NotFound("transaction", transaction_id)
        effect = (LedgerAccount.AVAILABLE, LedgerAccount.RESERVED)
        return row, self._shares([transaction_id], effect)

    def get(self, transaction_id: str) -> Row[Any]:
        """Any transaction of the account. Raises NotFound."""
        row = self._connection.execute(
            select(_transactions).where(self._own, _transactions.c.id == transaction_id)
        ).one_or_none()
        if row is None:
            raise NotFound("transaction", transaction_id)
        return row

    def by_request_key(self, request_key: str) -> Row[Any] | None:
        """What a request did before, if it did."""
        return self._connection.execute(
            select(_transactions).where(self._own, _transactions.c.request_key == request_key)
        ).one_or_none()

    def spent(self, deduction_id: str) -> list[Share]:
        """What is still spent of a deduction, by grant: charged less refunded."""
        refunds = select(_transactions.c.id).where(
            self._own,
            _transactions.c.corrected_transaction_id == deduction_id,
            _transactions.c.transaction_type == TransactionType.REFUND,
        )
        ids = [deduction_id, *self._connection.scalars(refunds)]
        return self._shares(ids, (LedgerAccount.SPENT,))

    def _shares(
        self, transaction_ids: Sequence[str], accounts: Sequence[LedgerAccount]
    ) -> list[Share]:
        amount = func.sum(_entries.c.amount)
        rows = self._connection.execute(
            select(_entries.c.grant_id, amount)
            .where(
                _entries.c.transaction_id.in_(transaction_ids),
                _entries.c.ledger_account.in_(accounts),
            )
            .group_by(_entries.c.grant_id)
            .having(amount != 0)
            .order_by(_entries.c.grant_id)
        )
        return [Share(grant_id, int(total)) for grant_id, total in rows]

    def _visible(self) -> list[ColumnElement[bool]]:
        """The account's, narrowed to the chosen site, or to granted sites and what has none."""
        columns, caller = _transactions.c, self._caller
        conditions: list[ColumnElement[bool]] = [self._own]
        if caller.site_id:
            conditions.append(columns.site_id == caller.site_id)
        if caller.allowed_sites is not None:
            # Grants belong to no site; whoever may see the balance may see where it came from.
            conditions.append(or_(columns.site_id == "", columns.site_id.in_(caller.allowed_sites)))
        return conditions


def write_all(connection: Connection, transactions: Sequence[Transaction]) -> None:
    """Writes transactions that have entries, of accounts that are locked."""
    if not transactions:
        return
    # Entries go first: the insert of their transaction checks and seals them.
    entries = [
        {
            "transaction_id": each.id,
            "account_id": each.account_id,
            "ledger_account": entry.ledger_account,
            "grant_id": entry.grant_id,
            "amount": entry.amount,
        }
        for each in transactions
        for entry in each.entries
    ]
    insert_rows(connection, _entries, entries)
    insert_rows(connection, _transactions, [_columns(each) for each in transactions])
