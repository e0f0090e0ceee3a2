"""The balance of one account: a projection of its entries, and the lock of its credits."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from chassis.caller import Caller
from chassis.statements import insert_if_absent
from chassis.tenancy import visible
from services.billing import schema
from services.billing.domain import CREDITS_MAX, Balance
from services.billing.ledger import LedgerAccount, change

_table = schema.account_balances
_FIELDS = ("granted", "available", "reserved", "spent")


class Moved(NamedTuple):
    """A balance after it was moved."""

    balance: Balance
    low_at: int
    """When available is no more than this, thresholds have to be looked at."""


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
        return change((LedgerAccount(name), int(amount)) for name, amount in rows)

    def move(self, moved: Balance) -> Moved | None:
        """Adds a change to the balance and locks it until the transaction ends.

        None when less is available than the change takes: the condition is part of the one
        statement that writes, so no two transactions can pass it with the same credits. Must
        come before the entries of the change are written, or a missing row would be derived
        with them in it.
        """
        found = self._add(moved)
        if found is not None:
            return found
        self.lock()
        # Once more, under the lock: now the row is there, and credits that came back count.
        return self._add(moved)

    def lock(self) -> None:
        """Makes everybody else who would move credits of the account wait.

        Whoever locks something else of an account locks this first. Only reservations come
        before it; sweepers, who take them after, pass over those that are taken.
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

    def set_low_at(self, available: int) -> None:
        """Remembers when thresholds have to be looked at next; CREDITS_MAX for at once."""
        self._connection.execute(update(_table).where(*self._own).values(low_at=available))

    def _add(self, moved: Balance) -> Moved | None:
        statement = update(_table).where(*self._own)
        if moved.available < 0:
            statement = statement.where(_table.c.available >= -moved.available)
        added = {name: _table.c[name] + getattr(moved, name) for name in _FIELDS}
        row = self._connection.execute(
            statement.values(added).returning(*(_table.c[name] for name in (*_FIELDS, "low_at")))
        ).one_or_none()
        return None if row is None else Moved(Balance(*row[:-1]), row.low_at)

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
