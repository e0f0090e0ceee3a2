"""See protos/writer/billing/v1/grants.proto."""

from __future__ import annotations

from typing import Any

from writer.billing.v1 import grants_pb2, grants_pb2_grpc

from chassis import caller
from chassis.pages import PageQuery
from services.billing import mapping
from services.billing.service import Grants, Request
from services.billing.store import grant_from_row


class GrantServicer(grants_pb2_grpc.GrantServiceServicer):
    """Where credits come from."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants

    async def ListGrants(
        self, request: grants_pb2.ListGrantsRequest, context: Any
    ) -> grants_pb2.ListGrantsResponse:
        page = await self._grants.page(
            caller.current(), PageQuery.of(request), only_available=request.only_available
        )
        return grants_pb2.ListGrantsResponse(
            grants=[mapping.grant_to_proto(grant_from_row(row)) for row in page.rows],
            next_page_token=page.next_token,
            total_size=page.total_size,
        )

    async def CreateGrant(
        self, request: grants_pb2.CreateGrantRequest, context: Any
    ) -> grants_pb2.Grant:
        transaction_type = mapping.transaction_type_from_proto(request.transaction_type)
        assert transaction_type is not None, "the contract has checked it"
        grant = await self._grants.create(
            caller.current(),
            Request(request.request_id, request.reason),
            transaction_type,
            request.credits,
            priority=request.priority,
            expire_time=mapping.time_from_proto(request, "expire_time"),
        )
        return mapping.grant_to_proto(grant)

    async def RevokeGrant(
        self, request: grants_pb2.RevokeGrantRequest, context: Any
    ) -> grants_pb2.Grant:
        grant = await self._grants.revoke(caller.current(), request.id, request.reason)
        return mapping.grant_to_proto(grant)
