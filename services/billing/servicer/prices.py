"""See protos/writer/billing/v1/prices.proto."""

from __future__ import annotations

from typing import Any

from writer.billing.v1 import prices_pb2, prices_pb2_grpc

from chassis import caller, masks
from chassis.pages import PageQuery
from services.billing import mapping
from services.billing.service import Catalogue
from services.billing.store import price_from_row


class PriceServicer(prices_pb2_grpc.PriceServiceServicer):
    """What operations cost, and the plans."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def ListCosts(
        self, request: prices_pb2.ListCostsRequest, context: Any
    ) -> prices_pb2.ListCostsResponse:
        costs = [mapping.price_to_proto(price) for price in await self._catalogue.prices()]
        return prices_pb2.ListCostsResponse(costs=costs, total_size=len(costs))

    async def UpdateCost(
        self, request: prices_pb2.UpdateCostRequest, context: Any
    ) -> prices_pb2.CreditCost:
        operation = mapping.operation_from_proto(request.operation_type)
        assert operation is not None, "the contract has checked it"
        changed = masks.chosen(request, "credits", "unit")
        is_priced = request.HasField("credits") and "credits" in changed
        price = await self._catalogue.update(
            caller.current(),
            operation,
            request.variant,
            request.credits if is_priced else None,
            unit=mapping.unit_from_proto(request.unit) if "unit" in changed else None,
            reason=request.reason,
            etag=request.etag,
        )
        return mapping.price_to_proto(price)

    async def ListCostVersions(
        self, request: prices_pb2.ListCostVersionsRequest, context: Any
    ) -> prices_pb2.ListCostVersionsResponse:
        page = await self._catalogue.versions(
            PageQuery.of(request), mapping.operation_from_proto(request.operation_type)
        )
        return prices_pb2.ListCostVersionsResponse(
            costs=[mapping.price_to_proto(price_from_row(row)) for row in page.rows],
            next_page_token=page.next_token,
            total_size=page.total_size,
        )

    async def ListPlans(
        self, request: prices_pb2.ListPlansRequest, context: Any
    ) -> prices_pb2.ListPlansResponse:
        plans = [mapping.plan_to_proto(plan) for plan in await self._catalogue.plans()]
        return prices_pb2.ListPlansResponse(plans=plans, total_size=len(plans))
