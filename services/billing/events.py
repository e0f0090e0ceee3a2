"""Billing's facts as messages, appended to the outbox beside their effect.

`available` is the balance after the transaction that the fact belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message
from sqlalchemy import Connection
from writer.events.v1 import credits_pb2

from chassis.caller import Caller
from chassis.outbox import Fact, Outbox
from services.billing.domain import Reservation, ReservationState
from services.billing.ledger import Transaction


class Facts:
    """Appends billing's events to the outbox, in the transaction of their effect."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def granted(
        self, connection: Connection, caller: Caller, transaction: Transaction, available: int
    ) -> None:
        """Credits came in."""
        message = credits_pb2.CreditsGranted(
            account_id=transaction.account_id,
            transaction_id=transaction.id,
            transaction_type=transaction.transaction_type or "",
            credits=transaction.amount,
            available=available,
        )
        self._append(connection, caller, message, transaction.id)

    def expired(
        self,
        connection: Connection,
        caller: Caller,
        transaction: Transaction,
        grant_id: str,
        available: int,
    ) -> None:
        """What was left of a grant ran out of time."""
        message = credits_pb2.CreditsExpired(
            account_id=transaction.account_id,
            transaction_id=transaction.id,
            grant_id=grant_id,
            credits=-transaction.amount,
            available=available,
        )
        self._append(connection, caller, message, grant_id)

    def revoked(
        self,
        connection: Connection,
        caller: Caller,
        transaction: Transaction,
        grant_id: str,
        available: int,
    ) -> None:
        """Credits were taken back; without a grant by an adjustment."""
        message = credits_pb2.CreditsRevoked(
            account_id=transaction.account_id,
            transaction_id=transaction.id,
            grant_id=grant_id,
            credits=-transaction.amount,
            available=available,
        )
        self._append(connection, caller, message, grant_id or transaction.id)

    def refunded(
        self, connection: Connection, caller: Caller, transaction: Transaction, available: int
    ) -> None:
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
        self._append(connection, caller, message, transaction.id)

    def low(
        self,
        connection: Connection,
        caller: Caller,
        *,
        plan: str,
        percent: int,
        threshold: int,
        available: int,
    ) -> None:
        """Available credits fell to a threshold."""
        message = credits_pb2.CreditsLow(
            account_id=caller.account_id,
            threshold_percent=percent,
            threshold_credits=threshold,
            available=available,
            plan=plan,
        )
        self._append(connection, caller, message, caller.account_id)

    def reserved(
        self,
        connection: Connection,
        caller: Caller,
        reservations: Sequence[Reservation],
        available: int,
    ) -> None:
        """Credits are held back, for one or many."""
        facts = [
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
        self._outbox.append_all(connection, facts)

    def committed(
        self,
        connection: Connection,
        caller: Caller,
        reservation: Reservation,
        transaction_id: str,
        available: int,
    ) -> None:
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
        self._outbox.append_all(connection, [_about(caller, reservation, message)])

    def voided(
        self,
        connection: Connection,
        caller: Caller,
        reservations: Sequence[Reservation],
        available: int,
    ) -> None:
        """Reservations were given back, by somebody or by the time."""
        facts = [
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
        self._outbox.append_all(connection, facts)

    def _append(self, connection: Connection, caller: Caller, message: Message, about: str) -> None:
        fact = Fact(message, about, caller.request_id, caller.traceparent)
        self._outbox.append_all(connection, [fact])


def _about(caller: Caller, reservation: Reservation, message: Message) -> Fact:
    # The request that the work came from, also where a sweeper or an event settles it.
    request_id = reservation.request_id or caller.request_id
    return Fact(message, reservation.id, request_id, caller.traceparent)
