"""Ending reservations: charged by what was used, or given back. Each ends exactly once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from chassis import ids
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import NotFound
from chassis.inbox import first_time
from services.billing import ledger
from services.billing.domain import (
    AiCall,
    Held,
    Reservation,
    ReservationState,
    TransactionType,
)
from services.billing.errors import ReservationExpired
from services.billing.events import Facts
from services.billing.prices import charge, describe
from services.billing.service.budgets import give_back_to_budgets
from services.billing.service.journal import Journal
from services.billing.store import (
    DatabaseTime,
    Moment,
    ReservationStore,
    UsageStore,
    actor_of,
    read,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as a consumer heard it; the inbox lets each take effect once."""

    consumer: str
    event_id: str


class Settlement:
    """Commits and voids reservations, by call and by event."""

    def __init__(self, database: Database, facts: Facts, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._facts = facts
        self._moment = moment

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
                self._note_uncharged(connection, caller, settled, call)
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
                self._note_uncharged(connection, caller, settled, call)

        await self._database.write(work)

    def _commit(
        self, connection: Connection, caller: Caller, key: str, used: int, call: AiCall
    ) -> Reservation:
        store = ReservationStore(connection, caller)
        # What is read here is frozen; the state is decided by the statement that writes it.
        held = store.held(key, self._moment)
        charged = _charge(held.reservation, used)
        settled = store.settle(
            key,
            ReservationState.COMMITTED,
            now=held.now,
            credits_charged=charged,
            unless_overdue=True,
        )
        if settled is None:
            return _settled_before(store.get(key))
        journal = Journal(connection, caller, self._facts, held.now)
        transaction = _ending(
            caller, settled, ledger.Kind.COMMIT, ledger.commit(held.shares, charged), used
        )
        balance = journal.post([transaction])
        give_back_to_budgets(journal, [(settled, held.reservation.credits_reserved - charged)])
        transaction_id = transaction.id if transaction.entries else ""
        UsageStore(connection, caller).add(
            settled,
            call,
            credits_charged=charged,
            transaction_id=transaction_id or None,
            now=held.now,
        )
        self._facts.committed(connection, caller, settled, transaction_id, balance.available)
        return settled

    def _void(self, connection: Connection, caller: Caller, key: str, reason: str) -> Reservation:
        store = ReservationStore(connection, caller)
        held = store.held(key, self._moment)
        settled = store.settle(key, ReservationState.VOIDED, now=held.now, reason=reason)
        if settled is None:
            return store.get(key)
        journal = Journal(connection, caller, self._facts, held.now)
        give_back(journal, [Held(settled, held.shares, held.now)])
        return settled

    def _note_uncharged(
        self, connection: Connection, caller: Caller, reservation: Reservation, call: AiCall
    ) -> None:
        now = read(connection, self._moment)
        UsageStore(connection, caller).add(
            reservation, call, credits_charged=0, transaction_id=None, now=now
        )


def give_back(journal: Journal, settled: Sequence[Held]) -> None:
    """Posts the end of voided or expired reservations of one account, and says so."""
    kinds = {
        ReservationState.VOIDED: ledger.Kind.VOID,
        ReservationState.EXPIRED: ledger.Kind.EXPIRE,
    }
    transactions = [
        _ending(
            journal.caller,
            each.reservation,
            kinds[each.reservation.state],
            ledger.release(each.shares),
            each.reservation.quantity,
        )
        for each in settled
    ]
    balance = journal.post(transactions)
    reservations = [each.reservation for each in settled]
    give_back_to_budgets(journal, [(each, each.credits_reserved) for each in reservations])
    journal.facts.voided(journal.connection, journal.caller, reservations, balance.available)


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
        principal=actor_of(caller),
        create_time=settled.settle_time,
    )


def _settled_before(reservation: Reservation) -> Reservation:
    if reservation.state in (ReservationState.COMMITTED, ReservationState.VOIDED):
        return reservation
    # Expired, or open past its time and not swept yet: both ways it is too late.
    raise ReservationExpired(reservation.key)


def _charge(reservation: Reservation, used: int) -> int:
    return charge(reservation.unit, reservation.unit_credits, used, reservation.credits_reserved)
