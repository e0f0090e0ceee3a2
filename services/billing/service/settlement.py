"""Ending reservations: charged by what was used, or given back. Each ends exactly once."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import Connection

from chassis import clock, ids
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import NotFound
from chassis.inbox import first_time
from services.billing import ledger
from services.billing.domain import AiCall, Reservation, ReservationState, TransactionType
from services.billing.errors import ReservationExpired
from services.billing.events import Facts
from services.billing.prices import charge, describe
from services.billing.store import LedgerStore, ReservationStore, UsageStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as a consumer heard it; the inbox lets each take effect once."""

    consumer: str
    event_id: str


class Settlement:
    """Commits and voids reservations, by call and by event."""

    def __init__(self, database: Database, facts: Facts) -> None:
        self._database = database
        self._facts = facts

    async def commit(self, caller: Caller, key: str, used: int, call: AiCall) -> Reservation:
        """Charges what was used by the frozen price; the rest returns.

        A settled reservation answers how it was settled. Raises NotFound, and
        ReservationExpired from the moment of expiry on, swept or not.
        """

        def work(connection: Connection) -> Reservation:
            return self._commit(connection, caller, key, used, call)

        return await self._database.write(work)

    async def void(self, caller: Caller, key: str, reason: str) -> Reservation:
        """Gives everything back; a settled one answers how it was settled. Raises NotFound."""

        def work(connection: Connection) -> Reservation:
            return self._void(connection, caller, key, reason)

        return await self._database.write(work)

    async def work_succeeded(
        self, heard: Heard, caller: Caller, key: str, used: int, call: AiCall
    ) -> None:
        """Charges work that an event reports.

        Work that comes after its reservation was given back is not charged: it is noted as
        usage of 0 credits and logged, and the event is done with. Raises NotFound for a key
        that was never reserved, which redelivery and then the dead letters are for.
        """

        def work(connection: Connection) -> Reservation | None:
            if not first_time(connection, heard.consumer, heard.event_id):
                return None
            try:
                settled = self._commit(connection, caller, key, used, call)
            except ReservationExpired:
                settled = ReservationStore(connection, caller).get(key)
            if settled.state is not ReservationState.COMMITTED:
                _note_uncharged(connection, caller, settled, call)
            return settled

        settled = await self._database.write(work)
        if settled is not None and settled.state is not ReservationState.COMMITTED:
            log.warning(
                "work was done for a reservation that had ended",
                extra={
                    "reservation_id": settled.id,
                    "reservation_key": settled.key,
                    "account_id": settled.account_id,
                    "state": settled.state.value,
                    "credits_reserved": settled.credits_reserved,
                },
            )

    async def work_failed(
        self, heard: Heard, caller: Caller, key: str, reason: str, call: AiCall
    ) -> None:
        """Gives back what was held for work that an event reports as given up.

        A key that was never reserved needs nothing. A model that was asked in vain is noted
        as usage of 0 credits.
        """

        def work(connection: Connection) -> None:
            if not first_time(connection, heard.consumer, heard.event_id):
                return
            try:
                settled = self._void(connection, caller, key, reason)
            except NotFound:
                return
            if call.model:
                _note_uncharged(connection, caller, settled, call)

        await self._database.write(work)

    def _commit(
        self, connection: Connection, caller: Caller, key: str, used: int, call: AiCall
    ) -> Reservation:
        now = clock.now()
        store = ReservationStore(connection, caller)
        # What is read here is frozen; the state is decided by the statement that writes it.
        held = store.get(key)
        charged = charge(held.unit, held.unit_credits, used, held.credits_reserved)
        settled = store.settle(
            key, ReservationState.COMMITTED, now=now, credits_charged=charged, unless_overdue=True
        )
        if settled is None:
            return _settled_before(store.get(key))
        transaction = _ending(
            caller, settled, ledger.Kind.COMMIT, ledger.commit(held.credits_reserved, charged), used
        )
        balance = LedgerStore(connection, caller).post([transaction])
        assert balance is not None, "a commit takes nothing from what is available"
        transaction_id = transaction.id if transaction.entries else ""
        UsageStore(connection, caller).add(
            settled,
            call,
            credits_charged=charged,
            transaction_id=transaction_id or None,
            now=now,
        )
        self._facts.committed(connection, caller, settled, transaction_id, balance.available)
        return settled

    def _void(self, connection: Connection, caller: Caller, key: str, reason: str) -> Reservation:
        store = ReservationStore(connection, caller)
        settled = store.settle(key, ReservationState.VOIDED, now=clock.now(), reason=reason)
        if settled is None:
            return store.get(key)
        give_back(connection, caller, [settled], self._facts)
        return settled


def give_back(
    connection: Connection, caller: Caller, settled: list[Reservation], facts: Facts
) -> None:
    """Posts the end of voided or expired reservations of one account, and says so."""
    kinds = {
        ReservationState.VOIDED: ledger.Kind.VOID,
        ReservationState.EXPIRED: ledger.Kind.EXPIRE,
    }
    transactions = [
        _ending(
            caller, each, kinds[each.state], ledger.release(each.credits_reserved), each.quantity
        )
        for each in settled
    ]
    balance = LedgerStore(connection, caller).post(transactions)
    assert balance is not None, "giving back takes nothing"
    for each in settled:
        facts.voided(connection, caller, each, balance.available)


def _ending(
    caller: Caller,
    settled: Reservation,
    kind: ledger.Kind,
    entries: ledger.Entries,
    quantity: int,
) -> ledger.Transaction:
    assert settled.settle_time is not None, "it was settled"
    return ledger.Transaction(
        id=ids.new_id(),
        account_id=settled.account_id,
        kind=kind,
        transaction_type=TransactionType.DEDUCTION if kind is ledger.Kind.COMMIT else None,
        entries=entries,
        description=describe(settled.operation, settled.unit, quantity),
        operation=settled.operation,
        reservation_id=settled.id,
        site_id=settled.site_id,
        sector_id=settled.sector_id,
        run_id=settled.run_id,
        request_id=settled.request_id,
        principal=caller.principal,
        create_time=settled.settle_time,
    )


def _settled_before(reservation: Reservation) -> Reservation:
    if reservation.state in (ReservationState.COMMITTED, ReservationState.VOIDED):
        return reservation
    # Expired, or open past its time and not swept yet: both ways it is too late.
    raise ReservationExpired(reservation.key)


def _note_uncharged(
    connection: Connection, caller: Caller, reservation: Reservation, call: AiCall
) -> None:
    UsageStore(connection, caller).add(
        reservation, call, credits_charged=0, transaction_id=None, now=clock.now()
    )
