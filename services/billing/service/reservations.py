"""Holding credits back: quotes and reservations, by the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from chassis import clock, ids
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import RequestIdReused
from services.billing import ledger
from services.billing.domain import Item, PricedItem, Quote, Reservation, ReservationState
from services.billing.errors import InsufficientCredits
from services.billing.events import Facts
from services.billing.prices import describe, price_items, total
from services.billing.store import BalanceStore, CatalogueStore, LedgerStore, ReservationStore

TTL_DEFAULT = timedelta(days=1)
"""How long a reservation holds when nobody says."""


class Reservations:
    """Quotes, makes and finds reservations."""

    def __init__(self, database: Database, facts: Facts) -> None:
        self._database = database
        self._facts = facts

    async def quote(self, caller: Caller, items: Sequence[Item]) -> Quote:
        """What a reservation would hold back, without an effect.

        Raises InvalidFields as `reserve` does; too few credits are not refused, but shown.
        """

        def work(connection: Connection) -> Quote:
            priced = _price(connection, items)
            balance = BalanceStore(connection, caller).get()
            return Quote(priced, total(priced), balance.available)

        return await self._database.read(work)

    async def reserve(
        self,
        caller: Caller,
        items: Sequence[Item],
        *,
        run_id: str = "",
        ttl: timedelta = TTL_DEFAULT,
    ) -> list[Reservation]:
        """Holds credits back for all items, or for none; one reservation for each, in order.

        A key that has a reservation answers it, whatever became of it. Raises
        InsufficientCredits, RequestIdReused for a key that pays for something else, and
        InvalidFields for what has no price.
        """

        def work(connection: Connection) -> list[Reservation]:
            priced = _price(connection, items)
            wanted = [_reservation(caller, each, run_id, ttl) for each in priced]
            # Keys first, then the balance, as settling does: the order rules out deadlocks,
            # and a repeated call waits here for the first one instead of paying twice.
            store = ReservationStore(connection, caller)
            inserted = store.insert(wanted)
            fresh = [each for each in wanted if each.key in inserted]
            if fresh:
                self._hold(connection, caller, fresh)
            if len(fresh) == len(wanted):
                return wanted
            return _answers(priced, store)

        return await self._database.write(work)

    async def get(self, caller: Caller, key: str) -> Reservation:
        """One reservation. Raises NotFound."""

        def work(connection: Connection) -> Reservation:
            return ReservationStore(connection, caller).get(key)

        return await self._database.read(work)

    def _hold(self, connection: Connection, caller: Caller, fresh: Sequence[Reservation]) -> None:
        ledger_store = LedgerStore(connection, caller)
        balance = ledger_store.post([_holding(caller, each) for each in fresh])
        if balance is None:
            # The refusal undoes the whole transaction, the new keys included.
            raise InsufficientCredits(
                required=sum(each.credits_reserved for each in fresh),
                available=BalanceStore(connection, caller).get().available,
            )
        self._facts.reserved(connection, caller, fresh, balance.available)


def _price(connection: Connection, items: Sequence[Item]) -> list[PricedItem]:
    operations = {item.operation for item in items}
    return price_items(items, CatalogueStore(connection).prices_in_force(operations))


def _reservation(caller: Caller, priced: PricedItem, run_id: str, ttl: timedelta) -> Reservation:
    now = clock.now()
    return Reservation(
        id=ids.new_id(),
        account_id=caller.account_id,
        site_id=caller.site_id,
        sector_id=caller.sector_id,
        run_id=run_id,
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


def _holding(caller: Caller, reservation: Reservation) -> ledger.Transaction:
    return ledger.Transaction(
        id=ids.new_id(),
        account_id=reservation.account_id,
        kind=ledger.Kind.RESERVE,
        entries=ledger.reserve(reservation.credits_reserved),
        description=describe(reservation.operation, reservation.unit, reservation.quantity),
        operation=reservation.operation,
        reservation_id=reservation.id,
        site_id=reservation.site_id,
        sector_id=reservation.sector_id,
        run_id=reservation.run_id,
        request_id=reservation.request_id,
        principal=caller.principal,
        create_time=reservation.create_time,
    )


def _answers(priced: Sequence[PricedItem], store: ReservationStore) -> list[Reservation]:
    """What the keys stand for now. Raises RequestIdReused when that is something else."""
    found = store.by_keys([each.item.key for each in priced])
    answers = [found[each.item.key] for each in priced]
    if not all(held.is_for(each) for held, each in zip(answers, priced, strict=True)):
        raise RequestIdReused
    return answers
