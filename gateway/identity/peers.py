"""What identity asks of billing."""

from __future__ import annotations

from writer.billing.v1 import credits_pb2, credits_pb2_grpc

from chassis.caller import Caller
from chassis.client import Peer
from gateway.identity.domain import PLAN_AT_START


class Billing:
    """Opens credit accounts."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._credits = peer.stub(credits_pb2_grpc.CreditServiceStub)

    async def open_account(self, who: Caller) -> None:
        """Opens the account of `who` with the credits of the first plan.

        Doing it again changes nothing. Raises Unavailable when billing does not answer.
        """
        request = credits_pb2.OpenAccountRequest(plan=PLAN_AT_START)
        await self._peer.call(self._credits.OpenAccount, request, who)
