"""One record for each AI call, at most one for each reservation."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from chassis import ids
from chassis.caller import Caller
from chassis.pages import Page, PageQuery, paginate
from chassis.statements import insert_if_absent
from chassis.tenancy import visible
from services.billing import schema
from services.billing.domain import KEY_CHARS, MODEL_CHARS, AiCall, Operation, Reservation

_table = schema.usage_records


class UsageStore:
    """Notes and lists AI calls of one account."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def add(
        self,
        reservation: Reservation,
        call: AiCall,
        *,
        credits_charged: int,
        transaction_id: str | None,
        now: datetime,
    ) -> None:
        """Notes the call behind a reservation, unless one is noted already."""
        insert_if_absent(
            self._connection,
            _table,
            id=ids.new_id(),
            account_id=self._caller.account_id,
            site_id=reservation.site_id,
            sector_id=reservation.sector_id,
            run_id=reservation.run_id,
            request_id=reservation.request_id,
            operation=reservation.operation,
            credits=credits_charged,
            # What comes from a provider has no length that we could rely on.
            model=call.model[:MODEL_CHARS],
            prompt_tokens=max(0, call.prompt_tokens),
            completion_tokens=max(0, call.completion_tokens),
            provider_cost_micro_usd=None,
            object_id=call.object_id[:KEY_CHARS],
            reservation_id=reservation.id,
            transaction_id=transaction_id,
            create_time=now,
        )

    def page(self, query: PageQuery, operation: Operation | None, run_id: str) -> Page:
        """AI calls of the sites that the caller may see, newest first by default."""
        statement = select(_table).where(*visible(_table, self._caller))
        if operation is not None:
            statement = statement.where(_table.c.operation == operation)
        if run_id:
            statement = statement.where(_table.c.run_id == run_id)
        return paginate(
            self._connection,
            statement,
            query,
            sortable={"created_at": _table.c.create_time},
            default="-created_at",
            tie=_table.c.id,
        )
