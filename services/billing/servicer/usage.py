"""See protos/writer/billing/v1/usage.proto."""

from __future__ import annotations

from typing import Any

from writer.billing.v1 import usage_pb2, usage_pb2_grpc

from chassis import caller
from chassis.pages import PageQuery
from chassis.times import to_timestamp
from services.billing import mapping
from services.billing.service import Usage
from services.billing.store import UsageFilter


class UsageServicer(usage_pb2_grpc.UsageServiceServicer):
    """AI calls and their sums."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    async def ListUsage(
        self, request: usage_pb2.ListUsageRequest, context: Any
    ) -> usage_pb2.ListUsageResponse:
        page = await self._usage.page(caller.current(), PageQuery.of(request), _filter(request))
        return usage_pb2.ListUsageResponse(
            usage=[mapping.usage_to_proto(row) for row in page.rows],
            next_page_token=page.next_token,
            total_size=page.total_size,
        )

    async def SummarizeUsage(
        self, request: usage_pb2.SummarizeUsageRequest, context: Any
    ) -> usage_pb2.UsageSummary:
        dimensions = [mapping.dimension_from_proto(value) for value in request.group_by]
        summary = await self._usage.summarize(caller.current(), dimensions, _filter(request))
        return usage_pb2.UsageSummary(
            rows=[mapping.usage_sum_to_proto(row) for row in summary.rows],
            total=mapping.usage_sum_to_proto(summary.total),
            start_time=to_timestamp(summary.start_time),
            end_time=to_timestamp(summary.end_time),
        )


def _filter(
    request: usage_pb2.ListUsageRequest | usage_pb2.SummarizeUsageRequest,
) -> UsageFilter:
    return UsageFilter(
        operation=mapping.operation_from_proto(request.operation_type),
        model=request.model,
        run_id=request.run_id,
        api_key_id=request.api_key_id,
        start_time=mapping.time_from_proto(request, "start_time"),
        end_time=mapping.time_from_proto(request, "end_time"),
    )
