"""See protos/writer/billing/v1/reservations.proto."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from writer.billing.v1 import reservations_pb2, reservations_pb2_grpc

from chassis import caller
from services.billing import mapping
from services.billing.service import Reservations, Settlement, Work
from services.billing.service.reservations import TTL_DEFAULT


class ReservationServicer(reservations_pb2_grpc.ReservationServiceServicer):
    """Quotes, reservations and how they end."""

    def __init__(self, reservations: Reservations, settlement: Settlement) -> None:
        self._reservations = reservations
        self._settlement = settlement

    async def QuoteCredits(
        self, request: reservations_pb2.QuoteCreditsRequest, context: Any
    ) -> reservations_pb2.Quote:
        items = mapping.items_from_proto(request.items)
        return mapping.quote_to_proto(await self._reservations.quote(caller.current(), items))

    async def ReserveCredits(
        self, request: reservations_pb2.ReserveCreditsRequest, context: Any
    ) -> reservations_pb2.ReserveCreditsResponse:
        made = await self._reservations.reserve(
            caller.current(),
            mapping.items_from_proto(request.items),
            work_for=Work(
                run_id=request.run_id,
                api_key_id=request.api_key_id if request.HasField("api_key_id") else None,
                run_cap=request.run_cap if request.HasField("run_cap") else None,
            ),
            ttl=timedelta(seconds=request.ttl_s) if request.ttl_s else TTL_DEFAULT,
        )
        return reservations_pb2.ReserveCreditsResponse(
            reservations=[mapping.reservation_to_proto(each) for each in made]
        )

    async def CommitReservation(
        self, request: reservations_pb2.CommitReservationRequest, context: Any
    ) -> reservations_pb2.Reservation:
        settled = await self._settlement.commit(
            caller.current(), request.key, request.quantity, mapping.call_from_proto(request.usage)
        )
        return mapping.reservation_to_proto(settled)

    async def VoidReservation(
        self, request: reservations_pb2.VoidReservationRequest, context: Any
    ) -> reservations_pb2.Reservation:
        settled = await self._settlement.void(caller.current(), request.key, request.reason)
        return mapping.reservation_to_proto(settled)

    async def GetReservation(
        self, request: reservations_pb2.GetReservationRequest, context: Any
    ) -> reservations_pb2.Reservation:
        found = await self._reservations.get(caller.current(), request.key)
        return mapping.reservation_to_proto(found)
