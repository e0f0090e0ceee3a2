"""The balance of one account: a projection of its entries, and the lock of its credits."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from chassis.caller import Caller
from chassis.statements import insert_if_absent
from chassis.tenancy import visible
from services.billing import schema
from services.billing.domain import Balance
from services.billing.ledger import LedgerAccount, change

_table = schema.account_balances
_FIELDS = ("granted", "available", "reserved", "spent")


class BalanceStore:
    """Reads and moves one account's balance."""

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
        return change({LedgerAccount(name): int(amount) for name, amount in rows})

    def move(self, moved: Balance) -> Balance | None:
        """Adds a change to the balance and locks it until the transaction ends.

        None when less is available than the change takes: the condition is part of the one
        statement that writes, so no two transactions can pass it with the same credits. Must
        come before the entries of the change are written, or a missing row would be derived
        with them in it.
        """
        balance = self._add(moved)
        if balance is not None:
            return balance
        if not self._lock():
            self._restore()
        # Once more, under the lock: now the row is there, and credits that came back count.
        return self._add(moved)

    def rebuild(self) -> Balance:
        """Derives the row anew, while whoever else would move the balance waits."""
        if not self._lock():
            self._restore()
        derived = self.derived()
        self._connection.execute(
            update(_table)
            .where(*self._own)
            .values({name: getattr(derived, name) for name in _FIELDS})
        )
        return derived

    def _add(self, moved: Balance) -> Balance | None:
        statement = update(_table).where(*self._own)
        if moved.available < 0:
            statement = statement.where(_table.c.available >= -moved.available)
        added = {name: _table.c[name] + getattr(moved, name) for name in _FIELDS}
        row = self._connection.execute(
            statement.values(added).returning(*(_table.c[name] for name in _FIELDS))
        ).one_or_none()
        return None if row is None else Balance(*row)

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
        )
