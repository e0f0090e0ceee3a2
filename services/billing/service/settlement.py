"""Ending reservations: charged by what was used, or given back. Each ends exactly once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from chassis import ids
from chassis.caller import Caller
from chassis.errors import NotFound
from services.billing import events, ledger
from services.billing.domain import (
    AiCall,
    Held,
    Reservation,
    ReservationState,
    TransactionType,
)
from services.billing.errors import ReservationExpired
from services.billing.prices import charge, describe
from services.billing.service.budgets import give_back_to_budgets
from services.billing.service.calls import Call, Heard
from services.billing.service.group_commit import GroupCommit
from services.billing.service.journal import Journal
from services.billing.store import actor_of

_T = TypeVar("_T")
log = logging.getLogger(__name__)


class Settlement:
    """Commits and voids reservations, by call and by event."""

    def __init__(self, group_commit: GroupCommit) -> None:
        self._group_commit = group_commit

    async def commit(self, caller: Caller, key: str, used: int, call: AiCall) -> Reservation:
        """Charges what was used by the frozen price; the rest returns.

        A settled reservation answers how it was settled. Raises NotFound, and
        ReservationExpired from the moment of expiry on, swept or not: then the work is noted
        as usage of 0 credits.
        """
        try:
            return await self._group_commit.run(
                Commit(caller=caller, key=key, used=used, call=call)
            )
        except ReservationExpired:
            log.warning(
                "work was done for a reservation that had ended",
                extra={"reservation_key": key, "account_id": caller.account_id},
            )
            raise

    async def void(self, caller: Caller, key: str, reason: str) -> Reservation:
        """Gives everything back; a settled one answers how it was settled. Raises NotFound."""
        return await self._group_commit.run(Void(caller=caller, key=key, reason=reason))

    async def work_succeeded(
        self, heard: Heard, caller: Caller, key: str, used: int, call: AiCall
    ) -> None:
        """Charges work that an event reports.

        Work that comes after its reservation was given back is not charged: it is noted as
        usage of 0 credits and logged, and the event is done with. Raises NotFound for a key
        that was never reserved, which redelivery and then the dead letters are for.
        """
        settled = await self._group_commit.run(
            Succeeded(caller=caller, key=key, used=used, call=call, event=heard)
        )
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
        await self._group_commit.run(
            Failed(caller=caller, key=key, reason=reason, call=call, event=heard)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(Call[_T]):
    """Ends the reservation under a key."""

    key: str

    @property
    def keys(self) -> tuple[str]:
        """See Call."""
        return (self.key,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(Settle[Reservation]):
    """Charges, by call."""

    used: int
    call: AiCall

    def run(self, journal: Journal) -> Reservation:
        """See Call."""
        try:
            return commit(journal, self.key, self.used, self.call)
        except ReservationExpired:
            journal.books.use(held_of(journal, self.key).reservation, self.call, 0, None)
            # The refusal changes no credits; that the work was done is not to be lost.
            journal.books.unit.keep()
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Void(Settle[Reservation]):
    """Gives back, by call."""

    reason: str

    def run(self, journal: Journal) -> Reservation:
        """See Call."""
        return void(journal, self.key, self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded(Settle[Reservation | None]):
    """Charges, by event; answers None where the event was heard before."""

    used: int
    call: AiCall
    event: Heard

    @property
    def heard(self) -> Heard:
        """See Call."""
        return self.event

    def run(self, journal: Journal) -> Reservation:
        """See Call."""
        try:
            settled = commit(journal, self.key, self.used, self.call)
        except ReservationExpired:
            settled = held_of(journal, self.key).reservation
        if settled.state is not ReservationState.COMMITTED:
            journal.books.use(settled, self.call, 0, None)
        return settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Settle[None]):
    """Gives back, by event."""

    reason: str
    call: AiCall
    event: Heard

    @property
    def heard(self) -> Heard:
        """See Call."""
        return self.event

    def run(self, journal: Journal) -> None:
        """See Call."""
        if journal.books.reservation(self.key) is None:
            return
        settled = void(journal, self.key, self.reason)
        if self.call.model:
            journal.books.use(settled, self.call, 0, None)


def held_of(journal: Journal, key: str) -> Held:
    """What the key stands for. Raises NotFound."""
    held = journal.books.reservation(key)
    if held is None:
        raise NotFound("reservation", key)
    return held


def commit(journal: Journal, key: str, used: int, call: AiCall) -> Reservation:
    """Charges; a settled reservation answers how it was settled. Raises as Settlement.commit."""
    held = held_of(journal, key)
    reservation, now = held.reservation, journal.now
    if reservation.state in (ReservationState.COMMITTED, ReservationState.VOIDED):
        return reservation
    if reservation.state is ReservationState.EXPIRED or reservation.expire_time <= now:
        # Swept or not, both ways it is too late.
        raise ReservationExpired(key)
    charged = charge(reservation.unit, reservation.unit_credits, used, reservation.credits_reserved)
    settled = replace(
        reservation, state=ReservationState.COMMITTED, credits_charged=charged, settle_time=now
    )
    journal.books.settle(settled, "")
    entries = ledger.commit(held.shares, charged)
    transaction = _ending(journal.caller, settled, ledger.Kind.COMMIT, entries, used)
    balance = journal.post([transaction])
    give_back_to_budgets(journal, settled, reservation.credits_reserved - charged)
    transaction_id = transaction.id if transaction.entries else ""
    journal.books.use(settled, call, charged, transaction_id or None)
    journal.books.tell(events.committed(journal.caller, settled, transaction_id, balance.available))
    return settled


def void(journal: Journal, key: str, reason: str) -> Reservation:
    """Gives back; a settled reservation answers how it was settled. Raises NotFound."""
    held = held_of(journal, key)
    if held.reservation.state is not ReservationState.OPEN:
        return held.reservation
    return give_back(journal, [held], ReservationState.VOIDED, reason)[0]


def give_back(
    journal: Journal, open_ones: Sequence[Held], state: ReservationState, reason: str
) -> list[Reservation]:
    """Posts the end of open reservations of one account, voided or expired, and says so."""
    kind = ledger.Kind.EXPIRE if state is ReservationState.EXPIRED else ledger.Kind.VOID
    settled, transactions = [], []
    for held in open_ones:
        ended = replace(held.reservation, state=state, settle_time=journal.now)
        journal.books.settle(ended, reason)
        settled.append(ended)
        entries = ledger.release(held.shares)
        transactions.append(_ending(journal.caller, ended, kind, entries, ended.quantity))
    balance = journal.post(transactions)
    for each in settled:
        give_back_to_budgets(journal, each, each.credits_reserved)
    for fact in events.voided(journal.caller, settled, balance.available):
        journal.books.tell(fact)
    return settled


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
