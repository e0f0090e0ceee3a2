"""The balance of one account: a projection of its entries, and the lock of its credits."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, func, select, update

from chassis.caller import Caller
from chassis.statements import among, insert_if_absent, values_for
from chassis.tenancy import visible
from services.billing import schema
from services.billing.domain import CREDITS_MAX, Balance
from services.billing.ledger import LedgerAccount, change

_table = schema.account_balances
_FIELDS = ("granted", "available", "reserved", "spent")


_THESE = select(_table).where(among(_table.c.account_id, "accounts")).order_by(_table.c.account_id)
_LOCK = _THESE.with_for_update()
_LOCK_FREE = _THESE.with_for_update(skip_locked=True)
_SET = (
    update(_table)
    .where(_table.c.account_id == bindparam("account"))
    .values({name: bindparam(name) for name in (*_FIELDS, "low_at")})
)


class BalanceStore:
    """Reads, locks and rebuilds one account's balance."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller
        self._own = visible(_table, caller)

    def get(self) -> Balance:
        """The balance, from the projection or, where its row is missing, from the entries."""
        row = self._connection.execute(
            select(*(_table.c[name] for name in _FIELDS)).where(*self._own)
        ).one_or_none()
        return self.derived() if row is None else Balance(*row)

    def derived(self) -> Balance:
        """The balance as the sum of the entries, which is what it is."""
        entries = schema.ledger_entries
        rows = self._connection.execute(
            select(entries.c.ledger_account, func.sum(entries.c.amount))
            .where(*visible(entries, self._caller))
            .group_by(entries.c.ledger_account)
        )
        return change((LedgerAccount(name), int(amount)) for name, amount in rows)

    def lock(self) -> None:
        """Makes everybody else who would move credits of the account wait.

        Whoever writes anything of an account locks this first.
        """
        if not self._lock():
            self._restore()

    def rebuild(self) -> Balance:
        """Derives the row anew, while whoever else would move the balance waits."""
        self.lock()
        derived = self.derived()
        self._connection.execute(
            update(_table)
            .where(*self._own)
            .values({name: getattr(derived, name) for name in _FIELDS})
        )
        return derived

    def _lock(self) -> bool:
        """Locks the row; false when there is none."""
        row = self._connection.execute(
            select(_table.c.account_id).where(*self._own).with_for_update()
        ).one_or_none()
        return row is not None

    def _restore(self) -> None:
        """Derives the row, unless somebody else has just done so."""
        derived = self.derived()
        insert_if_absent(
            self._connection,
            _table,
            account_id=self._caller.account_id,
            **{name: getattr(derived, name) for name in _FIELDS},
            low_at=CREDITS_MAX,
        )


def lock_all(
    connection: Connection, account_ids: Collection[str], *, wait: bool = True
) -> dict[str, tuple[Balance, int]]:
    """Locks accounts in the order of their ids; their balances and thresholds, where known.

    Without waiting: those that nobody else has locked.
    """
    if not account_ids:
        return {}
    statement = _LOCK if wait else _LOCK_FREE
    rows = connection.execute(statement, {"accounts": values_for(connection, sorted(account_ids))})
    return {
        row.account_id: (Balance(row.granted, row.available, row.reserved, row.spent), row.low_at)
        for row in rows
    }


def set_all(connection: Connection, balances: Sequence[tuple[str, Balance, int]]) -> None:
    """Stores balances and thresholds of accounts that are locked."""
    if balances:
        rows = [
            {
                "account": account_id,
                "low_at": low_at,
                **{name: getattr(balance, name) for name in _FIELDS},
            }
            for account_id, balance, low_at in balances
        ]
        connection.execute(_SET, rows)
