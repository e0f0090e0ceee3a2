"""See protos/writer/billing/v1/budgets.proto."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from google.protobuf.empty_pb2 import Empty
from writer.billing.v1 import budgets_pb2, budgets_pb2_grpc

from chassis import caller, masks
from chassis.pages import PageQuery
from chassis.replies import Reply
from services.billing import mapping
from services.billing.service import Budgets
from services.billing.store import budget_from_row


class BudgetServicer(budgets_pb2_grpc.BudgetServiceServicer):
    """Ceilings for sites, API keys and runs."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets

    async def CreateBudget(
        self, request: budgets_pb2.CreateBudgetRequest, context: Any
    ) -> budgets_pb2.Budget:
        who = caller.current()
        reply = Reply(who, "CreateBudget", request, budgets_pb2.Budget, mapping.budget_to_proto)
        asked = request.budget
        scope = mapping.scope_from_proto(asked.scope)
        assert scope is not None, "the contract has checked it"
        return await self._budgets.create(who, scope, asked.scope_id, asked.credits, reply)

    async def GetBudget(
        self, request: budgets_pb2.GetBudgetRequest, context: Any
    ) -> budgets_pb2.Budget:
        return mapping.budget_to_proto(await self._budgets.get(caller.current(), request.id))

    async def ListBudgets(
        self, request: budgets_pb2.ListBudgetsRequest, context: Any
    ) -> budgets_pb2.ListBudgetsResponse:
        page, month = await self._budgets.page(
            caller.current(),
            PageQuery.of(request),
            mapping.scope_from_proto(request.scope),
            request.scope_id,
        )
        budgets = [budget_from_row(row) for row in page.rows]
        return budgets_pb2.ListBudgetsResponse(
            budgets=[
                mapping.budget_to_proto(replace(each, used=each.used_in(month))) for each in budgets
            ],
            next_page_token=page.next_token,
            total_size=page.total_size,
        )

    async def UpdateBudget(
        self, request: budgets_pb2.UpdateBudgetRequest, context: Any
    ) -> budgets_pb2.Budget:
        masks.chosen(request, "credits")
        budget = await self._budgets.update(
            caller.current(), request.id, request.credits, request.etag
        )
        return mapping.budget_to_proto(budget)

    async def DeleteBudget(self, request: budgets_pb2.DeleteBudgetRequest, context: Any) -> Empty:
        await self._budgets.delete(caller.current(), request.id, request.etag)
        return Empty()
