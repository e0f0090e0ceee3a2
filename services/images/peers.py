"""What the images service asks of others, as the service itself for the tenant of an event."""

from __future__ import annotations

from collections.abc import Sequence

from writer.billing.v1 import prices_pb2, reservations_pb2, reservations_pb2_grpc
from writer.content.v1 import content_pb2, content_pb2_grpc

from chassis.caller import Caller
from chassis.client import Peer
from services.images.domain import Article, headings_of
from services.images.errors import ReservationLost

PROMPTS = prices_pb2.Operation.image_prompt_extraction
PICTURE = prices_pb2.Operation.image_generation
_USABLE = frozenset({reservations_pb2.Reservation.open, reservations_pb2.Reservation.committed})


class Billing:
    """Credits for prompts and pictures."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = peer.stub(reservations_pb2_grpc.ReservationServiceStub)

    async def reserve(
        self,
        caller: Caller,
        run_id: str,
        operation: prices_pb2.Operation.Type.ValueType,
        keys: Sequence[str],
    ) -> None:
        """Holds credits for one unit under each key, or for none; repeating it changes nothing.

        Raises INSUFFICIENT_CREDITS, and ReservationLost when an earlier one was given back.
        """
        items = [
            reservations_pb2.ReservationItem(key=key, operation_type=operation, quantity=1)
            for key in keys
        ]
        response: reservations_pb2.ReserveCreditsResponse = await self._peer.call(
            self._stub.ReserveCredits,
            reservations_pb2.ReserveCreditsRequest(items=items, run_id=run_id),
            caller,
        )
        for reservation in response.reservations:
            if reservation.state not in _USABLE:
                raise ReservationLost(reservation.key)


class Contents:
    """What has been written."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = peer.stub(content_pb2_grpc.ContentServiceStub)

    async def article(self, caller: Caller, content_id: str) -> Article:
        """The parts of a content that pictures are made from. Raises NOT_FOUND."""
        content: content_pb2.Content = await self._peer.call(
            self._stub.GetContent, content_pb2.GetContentRequest(id=content_id), caller
        )
        return Article(
            title=content.title,
            headings=headings_of(content.content_html),
            excerpt=content.excerpt or content.meta_description,
        )
