"""Billing's gRPC edge: parses, calls the use case, maps. Decides nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from writer.billing.v1 import (
    credits_pb2,
    credits_pb2_grpc,
    prices_pb2,
    prices_pb2_grpc,
    reservations_pb2,
    reservations_pb2_grpc,
)

from chassis import caller
from chassis.pages import PageQuery
from services.billing import mapping
from services.billing.service import Accounts, Catalogue, Reservations, Settlement
from services.billing.service.reservations import TTL_DEFAULT


class CreditServicer(credits_pb2_grpc.CreditServiceServicer):
    """Balances, transactions and usage."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def OpenAccount(
        self, request: credits_pb2.OpenAccountRequest, context: Any
    ) -> credits_pb2.Balance:
        account = await self._accounts.open(caller.current(), request.plan)
        return mapping.account_to_proto(account)

    async def GetBalance(
        self, request: credits_pb2.GetBalanceRequest, context: Any
    ) -> credits_pb2.Balance:
        return mapping.account_to_proto(await self._accounts.get(caller.current()))

    async def ListTransactions(
        self, request: credits_pb2.ListTransactionsRequest, context: Any
    ) -> credits_pb2.ListTransactionsResponse:
        page = await self._accounts.transactions(
            caller.current(),
            PageQuery.of(request),
            mapping.transaction_type_from_proto(request.transaction_type),
        )
        return credits_pb2.ListTransactionsResponse(
            transactions=[mapping.transaction_to_proto(row) for row in page.rows],
            next_page_token=page.next_token,
            total_size=page.total_size,
        )

    async def ListUsage(
        self, request: credits_pb2.ListUsageRequest, context: Any
    ) -> credits_pb2.ListUsageResponse:
        page = await self._accounts.usage(
            caller.current(),
            PageQuery.of(request),
            mapping.operation_from_proto(request.operation_type),
            request.run_id,
        )
        return credits_pb2.ListUsageResponse(
            usage=[mapping.usage_to_proto(row) for row in page.rows],
            next_page_token=page.next_token,
            total_size=page.total_size,
        )


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
            run_id=request.run_id,
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


class PriceServicer(prices_pb2_grpc.PriceServiceServicer):
    """What operations cost, and the plans."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def ListCosts(
        self, request: prices_pb2.ListCostsRequest, context: Any
    ) -> prices_pb2.ListCostsResponse:
        costs = [mapping.price_to_proto(price) for price in await self._catalogue.prices()]
        return prices_pb2.ListCostsResponse(costs=costs, total_size=len(costs))

    async def ListPlans(
        self, request: prices_pb2.ListPlansRequest, context: Any
    ) -> prices_pb2.ListPlansResponse:
        plans = [mapping.plan_to_proto(plan) for plan in await self._catalogue.plans()]
        return prices_pb2.ListPlansResponse(plans=plans, total_size=len(plans))
