"""The books of some accounts, locked and read together, and written together at the end.

However many accounts and calls share it, a transaction of the database takes the same few
statements, and holds its locks no longer than for these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from chassis import inbox
from chassis.caller import Caller
from chassis.outbox import Outbox
from services.billing.domain import Balance, BudgetScope, Operation, Price
from services.billing.store import balances, budgets, grants, ledger, reservations, usage
from services.billing.store.books import AccountBooks
from services.billing.store.catalogue import CatalogueStore
from services.billing.store.moment import Moment, read
from services.billing.store.pending import Pending


class UnitOfWork:
    """Opens books and writes what was noted in them."""

    def __init__(self, connection: Connection, outbox: Outbox, moment: Moment) -> None:
        self.connection = connection
        self.pending = Pending()
        self.prices: list[Price] = []
        self._outbox = outbox
        self._moment = moment
        self._books: dict[str, AccountBooks] = {}
        self._heard: set[tuple[str, str]] = set()
        self._now: datetime | None = None
        self._written = 0
        self.kept = 0
        """Progress that stands whatever becomes of the call that made it."""

    @property
    def now(self) -> datetime:
        """The database's time after the locks, which may have been waited for."""
        if self._now is None:
            self._now = read(self.connection, self._moment)
        return self._now

    @property
    def progress(self) -> int:
        """How much has been noted so far, written or not."""
        return self._written + self.pending.notes

    def keep(self) -> None:
        """Says that what was noted so far stands, whatever becomes of the call that noted it."""
        self.kept = self.progress

    def open(self, account_ids: Iterable[str]) -> None:
        """Locks accounts, in the order of their ids, until the transaction ends.

        Whoever writes anything of an account locks it first, so that no two transactions
        decide by the same state and none wait for each other in a circle.
        """
        wanted = sorted(set(account_ids))
        found = balances.lock_all(self.connection, wanted)
        missing = [account_id for account_id in wanted if account_id not in found]
        for account_id in missing:
            caller = Caller.service("billing", account_id=account_id)
            balances.BalanceStore(self.connection, caller).lock()
        if missing:
            found = balances.lock_all(self.connection, wanted)
        self._open(found)

    def open_free(self, account_ids: Iterable[str]) -> set[str]:
        """Locks accounts as `open` does, without waiting for anybody; answers those it opened.

        The others are locked by somebody, or the row to be locked is missing.
        """
        found = balances.lock_all(self.connection, set(account_ids), wait=False)
        self._open(found)
        return set(found)

    def _open(self, found: Mapping[str, tuple[Balance, int]]) -> None:
        for account_id, (balance, low_at) in found.items():
            self._books[account_id] = AccountBooks(self, account_id, balance, low_at)

    def books(self, account_id: str) -> AccountBooks:
        """The books of an account that was opened."""
        return self._books[account_id]

    def hear(self, events: Collection[tuple[str, str]]) -> None:
        """Looks up which events, by consumer and id, have taken effect before."""
        self._heard |= inbox.seen_of(self.connection, events)

    def has_heard(self, event: tuple[str, str]) -> bool:
        """Whether an event has taken effect."""
        return event in self._heard

    def note_heard(self, event: tuple[str, str]) -> None:
        """Notes that an event takes effect."""
        self._heard.add(event)
        self.pending.note().heard.append(event)

    def load_prices(self, operations: Collection[Operation]) -> None:
        """Looks up prices in force, and the time in the same round trip."""
        catalogue = CatalogueStore(self.connection)
        self.prices, moment = catalogue.prices_now(operations, self._moment)
        self._now = self._now or moment

    def load_reservations(self, keys: Collection[tuple[str, str]]) -> None:
        """Looks up what keys, each with its account, stand for, and what they hold of grants."""
        self.flush()
        found = reservations.held_by_keys(self.connection, keys)
        self._learn(found)
        known = {(each.held.reservation.account_id, each.held.reservation.key) for each in found}
        for account_id, key in set(keys) - known:
            self._books[account_id].learn_reservation(key, None)

    def load_reservations_by_id(self, account_id: str, ids: Collection[str]) -> list[str]:
        """Looks up reservations of one account and answers their keys."""
        self.flush()
        found = reservations.held_by_ids(self.connection, account_id, ids)
        self._learn(found)
        return [each.held.reservation.key for each in found]

    def load_api_keys(self, runs: Collection[tuple[str, str]]) -> None:
        """Looks up which API key is behind runs, each with its account."""
        self.flush()
        found = reservations.api_keys_of_runs(self.connection, runs)
        for (account_id, run_id), api_key_id in found.items():
            self._books[account_id].learn_api_key(run_id, api_key_id)

    def load_usable_grants(self, account_ids: Collection[str]) -> None:
        """Looks up grants that have credits left."""
        self.flush()
        for account_id, found in grants.usable(self.connection, account_ids, self.now).items():
            self._books[account_id].learn_usable(found.grants, found.period_end_time)

    def load_budgets(self, scopes: Collection[tuple[str, BudgetScope, str]]) -> None:
        """Looks up budgets by account, scope and what they are for."""
        self.flush()
        found = budgets.of_scopes(self.connection, scopes)
        for each in scopes:
            account_id, scope, scope_id = each
            self._books[account_id].learn_budget(scope, scope_id, found.get(each))

    def flush(self) -> None:
        """Writes what was noted since the last time, each table in one statement."""
        if not self.pending.notes:
            return
        noted, self.pending = self.pending, Pending()
        self._written += noted.notes
        connection = self.connection
        reservations.insert_all(connection, noted.reservations)
        reservations.settle_all(connection, noted.settled)
        grants.insert_all(connection, noted.grants)
        ledger.write_all(connection, noted.transactions)
        balances.set_all(
            connection,
            [(each.account_id, each.balance, each.low_at) for each in noted.balances.values()],
        )
        budgets.insert_all(connection, noted.new_budgets)
        budgets.set_all(connection, noted.budgets)
        usage.insert_all(connection, noted.usage)
        inbox.note_all(connection, noted.heard)
        self._outbox.append_all(connection, noted.facts)

    def _learn(self, found: Sequence[reservations.Found]) -> None:
        for each in found:
            books = self._books[each.held.reservation.account_id]
            for grant in each.grants:
                books.learn_grant(grant)
            books.learn_reservation(each.held.reservation.key, each.held)
