"""Holding credits back: quotes and reservations, by the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from chassis import ids
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import RequestIdReused
from services.billing import ledger
from services.billing.domain import (
    Balance,
    Item,
    PricedItem,
    Quote,
    Reservation,
    ReservationState,
    Share,
)
from services.billing.errors import ACCOUNT, InsufficientCredits
from services.billing.events import Facts
from services.billing.prices import describe, price_items, total
from services.billing.service.budgets import count_against_budgets
from services.billing.service.journal import Journal
from services.billing.service.plans import renew_if_due
from services.billing.store import (
    BalanceStore,
    CatalogueStore,
    DatabaseTime,
    Moment,
    ReservationStore,
    actor_of,
)

TTL_DEFAULT = timedelta(days=1)
"""How long a reservation holds when nobody says."""


@dataclass(frozen=True, slots=True)
class Work:
    """What reservations are for, beside the caller's site."""

    run_id: str = ""
    api_key_id: str | None = None
    """Empty for a user; None when the caller cannot know, then it is that of the run."""
    run_cap: int | None = None
    """Most that the run may use; None where nothing is said about that."""


class Reservations:
    """Quotes, makes and finds reservations."""

    def __init__(self, database: Database, facts: Facts, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._facts = facts
        self._moment = moment

    async def quote(self, caller: Caller, items: Sequence[Item]) -> Quote:
        """What a reservation would hold back, without an effect.

        Raises InvalidFields as `reserve` does; too few credits are not refused, but shown.
        """

        def work(connection: Connection) -> Quote:
            priced, _ = _price(connection, items, self._moment)
            balance = BalanceStore(connection, caller).get()
            return Quote(priced, total(priced), balance.available)

        return await self._database.read(work)

    async def reserve(
        self,
        caller: Caller,
        items: Sequence[Item],
        *,
        work_for: Work = Work(),
        ttl: timedelta = TTL_DEFAULT,
    ) -> list[Reservation]:
        """Holds credits back for all items, or for none; one reservation for each, in order.

        A key that has a reservation answers it, whatever became of it. Raises
        InsufficientCredits, RequestIdReused for a key that pays for something else, and
        InvalidFields for what has no price.
        """

        def work(connection: Connection) -> list[Reservation]:
            priced, now = _price(connection, items, self._moment)
            store = ReservationStore(connection, caller)
            api_key_id = work_for.api_key_id
            if api_key_id is None:
                api_key_id = store.api_key_of_run(work_for.run_id) if work_for.run_id else ""
            wanted = [
                _reservation(caller, each, work_for.run_id, api_key_id, now, ttl) for each in priced
            ]
            # Keys first, then the balance, as settling does: the order rules out deadlocks,
            # and a repeated call waits here for the first one instead of paying twice.
            inserted = store.insert(wanted)
            fresh = [each for each in wanted if each.key in inserted]
            if fresh:
                journal = Journal(connection, caller, self._facts, now)
                _hold(journal, fresh, work_for.run_cap)
            if len(fresh) == len(wanted):
                return wanted
            return _answers(priced, store)

        return await self._database.write(work)

    async def get(self, caller: Caller, key: str) -> Reservation:
        """One reservation. Raises NotFound."""

        def work(connection: Connection) -> Reservation:
            return ReservationStore(connection, caller).get(key)

        return await self._database.read(work)


def _hold(journal: Journal, fresh: Sequence[Reservation], run_cap: int | None) -> None:
    """Takes what reservations hold; a refusal undoes the whole transaction, new keys included."""
    wanted = sum(each.credits_reserved for each in fresh)
    balance = _held_balance(journal, fresh, wanted, run_cap)
    journal.facts.reserved(journal.connection, journal.caller, fresh, balance.available)


def _held_balance(
    journal: Journal, fresh: Sequence[Reservation], wanted: int, run_cap: int | None
) -> Balance:
    if not wanted:
        return journal.balances.get()
    taken = Balance(available=-wanted, reserved=wanted)
    shares = journal.take(taken)
    if shares is None and renew_if_due(journal):
        shares = journal.take(taken)
    if shares is None:
        raise InsufficientCredits(
            required=wanted,
            available=journal.grants.usable(journal.now),
            limit=ACCOUNT,
            limit_id=journal.caller.account_id,
        )
    count_against_budgets(journal, fresh, wanted, run_cap)
    transactions = []
    for each in fresh:
        own, shares = ledger.split(shares, each.credits_reserved)
        transactions.append(_holding(journal.caller, each, own))
    return journal.write(transactions)


def _price(
    connection: Connection, items: Sequence[Item], moment: Moment
) -> tuple[list[PricedItem], datetime]:
    """What items cost, and the database's time."""
    operations = {item.operation for item in items}
    prices, now = CatalogueStore(connection).prices_now(operations, moment)
    priced = price_items(items, prices)
    assert now is not None, "without a price nothing was priced"
    return priced, now


def _reservation(
    caller: Caller,
    priced: PricedItem,
    run_id: str,
    api_key_id: str,
    now: datetime,
    ttl: timedelta,
) -> Reservation:
    return Reservation(
        id=ids.new_id(),
        account_id=caller.account_id,
        site_id=caller.site_id,
        sector_id=caller.sector_id,
        run_id=run_id,
        api_key_id=api_key_id,
        request_id=caller.request_id,
        key=priced.item.key,
        state=ReservationState.OPEN,
        operation=priced.item.operation,
        variant=priced.price.variant,
        quantity=priced.item.quantity,
        unit=priced.price.unit,
        unit_credits=priced.price.credits,
        price_version=priced.price.version,
        credits_reserved=priced.credits,
        credits_charged=0,
        expire_time=now + ttl,
        create_time=now,
        settle_time=None,
    )


def _holding(
    caller: Caller, reservation: Reservation, shares: Sequence[Share]
) -> ledger.Transaction:
    return ledger.Transaction(
        id=ids.new_id(),
        account_id=reservation.account_id,
        kind=ledger.Kind.RESERVE,
        entries=ledger.reserve(shares),
        description=describe(reservation.operation, reservation.unit, reservation.quantity),
        operation=reservation.operation,
        reservation_id=reservation.id,
        site_id=reservation.site_id,
        sector_id=reservation.sector_id,
        run_id=reservation.run_id,
        request_id=reservation.request_id,
        principal=actor_of(caller),
        create_time=reservation.create_time,
    )


def _answers(priced: Sequence[PricedItem], store: ReservationStore) -> list[Reservation]:
    """What the keys stand for now. Raises RequestIdReused when that is something else."""
    found = store.by_keys([each.item.key for each in priced])
    answers = [found[each.item.key] for each in priced]
    if not all(held.is_for(each) for held, each in zip(answers, priced, strict=True)):
        raise RequestIdReused
    return answers
