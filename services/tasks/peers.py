"""What the tasks service asks of others, as the service itself for the caller's tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from writer.billing.v1 import prices_pb2, reservations_pb2, reservations_pb2_grpc
from writer.content.v1 import clusters_pb2, clusters_pb2_grpc, taxonomy_pb2, taxonomy_pb2_grpc

from chassis.caller import Caller
from chassis.client import Peer
from chassis.memory import Memory

NAME = "tasks"
KNOWN_S = 3.0
"""How long a cluster that was there is taken to be there; what was not is always asked for."""


@dataclass(frozen=True, slots=True)
class TextOrder:
    """A text to be paid for."""

    key: str
    words: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """Credits held for one text."""

    id: str
    key: str
    credits: int
    is_open: bool


class Billing:
    """Credits for texts."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = peer.stub(reservations_pb2_grpc.ReservationServiceStub)

    async def reserve(
        self, caller: Caller, run_id: str, orders: Sequence[TextOrder]
    ) -> list[Reservation]:
        """Holds credits for all texts or none. Raises INSUFFICIENT_CREDITS."""
        items = [
            reservations_pb2.ReservationItem(
                key=order.key,
                operation_type=prices_pb2.Operation.content_generation,
                quantity=order.words,
            )
            for order in orders
        ]
        response: reservations_pb2.ReserveCreditsResponse = await self._peer.call(
            self._stub.ReserveCredits,
            reservations_pb2.ReserveCreditsRequest(
                items=items, run_id=run_id, api_key_id=_api_key_of(caller)
            ),
            acting_for(caller),
        )
        return [
            Reservation(
                id=found.id,
                key=found.key,
                credits=found.credits_reserved,
                is_open=found.state == reservations_pb2.Reservation.open,
            )
            for found in response.reservations
        ]

    async def void(self, caller: Caller, key: str, reason: str) -> None:
        """Gives credits back; doing it again changes nothing."""
        await self._peer.call(
            self._stub.VoidReservation,
            reservations_pb2.VoidReservationRequest(key=key, reason=reason),
            acting_for(caller),
        )


class Classification:
    """Clusters and taxonomy terms, as the content service knows them."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._clusters = peer.stub(clusters_pb2_grpc.ClusterServiceStub)
        self._terms = peer.stub(taxonomy_pb2_grpc.TaxonomyServiceStub)
        self._names: Memory[tuple[str, ...], str] = Memory(KNOWN_S)

    async def cluster_name(self, caller: Caller, cluster_id: str) -> str:
        """Name of a cluster in the caller's site and sector. Raises NotFound."""
        key = (caller.account_id, caller.site_id, caller.sector_id, cluster_id)
        known = self._names.get(key)
        if known is not None:
            return known
        asked = self._names.forgotten
        cluster: clusters_pb2.Cluster = await self._peer.call(
            self._clusters.GetCluster,
            clusters_pb2.GetClusterRequest(id=cluster_id),
            acting_for(caller),
        )
        self._names.put(key, cluster.name, caller.account_id, asked)
        return cluster.name

    async def check_term(self, caller: Caller, term_id: str) -> None:
        """Raises NotFound unless the term exists in the caller's site."""
        await self._peer.call(
            self._terms.GetTaxonomy,
            taxonomy_pb2.GetTaxonomyRequest(id=term_id),
            acting_for(caller),
        )


def acting_for(caller: Caller) -> Caller:
    """This service, for the tenant of the call that it serves."""
    return Caller.service(
        NAME,
        account_id=caller.account_id,
        site_id=caller.site_id,
        sector_id=caller.sector_id,
        request_id=caller.request_id,
    )


def _api_key_of(caller: Caller) -> str:
    """The API key that asks, whose budget counts; empty for a user."""
    kind, _, key_id = caller.principal.partition(":")
    return key_id if kind == "key" else ""
