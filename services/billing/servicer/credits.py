"""See protos/writer/billing/v1/credits.proto."""

from __future__ import annotations

from typing import Any

from writer.billing.v1 import credits_pb2, credits_pb2_grpc

from chassis import caller
from chassis.pages import PageQuery
from services.billing import mapping
from services.billing.service import Accounts, Corrections, Plans, Request


class CreditServicer(credits_pb2_grpc.CreditServiceServicer):
    """Balances, plans and transactions."""

    def __init__(self, accounts: Accounts, plans: Plans, corrections: Corrections) -> None:
        self._accounts = accounts
        self._plans = plans
        self._corrections = corrections

    async def OpenAccount(
        self, request: credits_pb2.OpenAccountRequest, context: Any
    ) -> credits_pb2.Balance:
        account = await self._accounts.open(caller.current(), request.plan)
        return mapping.account_to_proto(account)

    async def GetBalance(
        self, request: credits_pb2.GetBalanceRequest, context: Any
    ) -> credits_pb2.Balance:
        return mapping.account_to_proto(await self._accounts.get(caller.current()))

    async def ChangePlan(
        self, request: credits_pb2.ChangePlanRequest, context: Any
    ) -> credits_pb2.Balance:
        account = await self._plans.change(caller.current(), request.plan)
        return mapping.account_to_proto(account)

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

    async def GetTransaction(
        self, request: credits_pb2.GetTransactionRequest, context: Any
    ) -> credits_pb2.CreditTransaction:
        row, shares = await self._accounts.transaction(caller.current(), request.id)
        return mapping.transaction_to_proto(row, shares)

    async def RefundCredits(
        self, request: credits_pb2.RefundCreditsRequest, context: Any
    ) -> credits_pb2.CreditTransaction:
        asked = Request(request.request_id, request.reason)
        row = await self._corrections.refund(
            caller.current(), asked, request.transaction_id, request.credits
        )
        return mapping.transaction_to_proto(row)

    async def AdjustCredits(
        self, request: credits_pb2.AdjustCreditsRequest, context: Any
    ) -> credits_pb2.CreditTransaction:
        asked = Request(request.request_id, request.reason)
        row = await self._corrections.adjust(
            caller.current(), asked, request.credits, request.corrected_transaction_id
        )
        return mapping.transaction_to_proto(row)
