"""Billing's facts as messages, appended to the outbox beside their effect.

`available` is the balance after the transaction that the fact belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from writer.events.v1 import credits_pb2

from chassis.caller import Caller
from chassis.outbox import Outbox
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
        self._outbox.append(
            connection,
            message,
            transaction.id,
            request_id=caller.request_id,
            traceparent=caller.traceparent,
        )

    def reserved(
        self,
        connection: Connection,
        caller: Caller,
        reservations: Sequence[Reservation],
        available: int,
    ) -> None:
        """Credits are held back, for one or many."""
        for reservation in reservations:
            message = credits_pb2.CreditsReserved(
                account_id=reservation.account_id,
                site_id=reservation.site_id,
                sector_id=reservation.sector_id,
                reservation_id=reservation.id,
                reservation_key=reservation.key,
                operation_type=reservation.operation,
                credits=reservation.credits_reserved,
                run_id=reservation.run_id,
                available=available,
            )
            self._append(connection, message, caller, reservation)

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
        self._append(connection, message, caller, reservation)

    def voided(
        self, connection: Connection, caller: Caller, reservation: Reservation, available: int
    ) -> None:
        """A reservation was given back, by somebody or by the time."""
        message = credits_pb2.CreditsVoided(
            account_id=reservation.account_id,
            site_id=reservation.site_id,
            sector_id=reservation.sector_id,
            reservation_id=reservation.id,
            reservation_key=reservation.key,
            operation_type=reservation.operation,
            credits=reservation.credits_reserved,
            run_id=reservation.run_id,
            expired=reservation.state is ReservationState.EXPIRED,
            available=available,
        )
        self._append(connection, message, caller, reservation)

    def _append(
        self,
        connection: Connection,
        message: credits_pb2.CreditsReserved
        | credits_pb2.CreditsCommitted
        | credits_pb2.CreditsVoided,
        caller: Caller,
        reservation: Reservation,
    ) -> None:
        self._outbox.append(
            connection,
            message,
            reservation.id,
            # The request that the work came from, also where a sweeper or an event settles it.
            request_id=reservation.request_id or caller.request_id,
            traceparent=caller.traceparent,
        )
