"""Billing's facts as messages, to be noted beside their effect. Pure.

`available` is the balance after what the fact tells of.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message
from writer.events.v1 import credits_pb2

from chassis.caller import Caller
from chassis.outbox import Fact
from services.billing.domain import Reservation, ReservationState
from services.billing.ledger import Transaction


def granted(caller: Caller, transaction: Transaction, available: int) -> Fact:
    """Credits came in."""
    message = credits_pb2.CreditsGranted(
        account_id=transaction.account_id,
        transaction_id=transaction.id,
        transaction_type=transaction.transaction_type or "",
        credits=transaction.amount,
        available=available,
    )
    return _fact(caller, message, transaction.id)


def expired(caller: Caller, transaction: Transaction, grant_id: str, available: int) -> Fact:
    """What was left of a grant ran out of time."""
    message = credits_pb2.CreditsExpired(
        account_id=transaction.account_id,
        transaction_id=transaction.id,
        grant_id=grant_id,
        credits=-transaction.amount,
        available=available,
    )
    return _fact(caller, message, grant_id)


def revoked(caller: Caller, transaction: Transaction, grant_id: str, available: int) -> Fact:
    """Credits were taken back; without a grant by an adjustment."""
    message = credits_pb2.CreditsRevoked(
        account_id=transaction.account_id,
        transaction_id=transaction.id,
        grant_id=grant_id,
        credits=-transaction.amount,
        available=available,
    )
    return _fact(caller, message, grant_id or transaction.id)


def refunded(caller: Caller, transaction: Transaction, available: int) -> Fact:
    """Spent credits came back."""
    message = credits_pb2.CreditsRefunded(
        account_id=transaction.account_id,
        site_id=transaction.site_id,
        sector_id=transaction.sector_id,
        transaction_id=transaction.id,
        refunded_transaction_id=transaction.corrected_transaction_id or "",
        credits=transaction.amount,
        run_id=transaction.run_id,
        available=available,
    )
    return _fact(caller, message, transaction.id)


def low(caller: Caller, *, plan: str, percent: int, threshold: int, available: int) -> Fact:
    """Available credits fell to a threshold."""
    message = credits_pb2.CreditsLow(
        account_id=caller.account_id,
        threshold_percent=percent,
        threshold_credits=threshold,
        available=available,
        plan=plan,
    )
    return _fact(caller, message, caller.account_id)


def reserved(caller: Caller, reservations: Sequence[Reservation], available: int) -> list[Fact]:
    """Credits are held back, for one or many."""
    return [
        _about(
            caller,
            each,
            credits_pb2.CreditsReserved(
                account_id=each.account_id,
                site_id=each.site_id,
                sector_id=each.sector_id,
                reservation_id=each.id,
                reservation_key=each.key,
                operation_type=each.operation,
                credits=each.credits_reserved,
                run_id=each.run_id,
                available=available,
            ),
        )
        for each in reservations
    ]


def committed(
    caller: Caller, reservation: Reservation, transaction_id: str, available: int
) -> Fact:
    """A reservation was charged; the transaction id is empty when nothing was held."""
    message = credits_pb2.CreditsCommitted(
        account_id=reservation.account_id,
        site_id=reservation.site_id,
        sector_id=reservation.sector_id,
        reservation_id=reservation.id,
        reservation_key=reservation.key,
        operation_type=reservation.operation,
        credits=reservation.credits_charged,
        run_id=reservation.run_id,
        transaction_id=transaction_id,
        available=available,
    )
    return _about(caller, reservation, message)


def voided(caller: Caller, reservations: Sequence[Reservation], available: int) -> list[Fact]:
    """Reservations were given back, by somebody or by the time."""
    return [
        _about(
            caller,
            each,
            credits_pb2.CreditsVoided(
                account_id=each.account_id,
                site_id=each.site_id,
                sector_id=each.sector_id,
                reservation_id=each.id,
                reservation_key=each.key,
                operation_type=each.operation,
                credits=each.credits_reserved,
                run_id=each.run_id,
                expired=each.state is ReservationState.EXPIRED,
                available=available,
            ),
        )
        for each in reservations
    ]


def _fact(caller: Caller, message: Message, about: str) -> Fact:
    return Fact(message, about, caller.request_id, caller.traceparent)


def _about(caller: Caller, reservation: Reservation, message: Message) -> Fact:
    # The request that the work came from, also where a sweeper or an event settles it.
    request_id = reservation.request_id or caller.request_id
    return Fact(message, reservation.id, request_id, caller.traceparent)
