"""Rows of the audit log: added and read, never changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select

from chassis import clock
from chassis.caller import Caller
from chassis.ids import new_id
from chassis.pages import COUNTED_MAX, PageQuery, paginate
from chassis.tenancy import visible
from gateway.identity.domain import REASON_CHARS_MAX, AuditEntry, AuditFilter, Deed
from gateway.identity.schema import audit_entries

_SORTABLE = {"created_at": audit_entries.c.create_time}


class AuditStore:
    """The audit log of the caller's account, over one connection."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def record(self, deed: Deed) -> None:
        """Notes what the caller does, in the transaction that does it."""
        who = self._caller
        self._connection.execute(
            insert(audit_entries).values(
                account_id=who.account_id,
                id=new_id(),
                action=deed.action,
                actor=who.principal,
                acting_for=who.acting_for,
                object_id=deed.object_id,
                before=dict(deed.before),
                after=dict(deed.after),
                reason=deed.reason[:REASON_CHARS_MAX],
                client_address=who.client_address,
                request_id=who.request_id,
                create_time=clock.now(),
            )
        )

    def list_entries(
        self, query: PageQuery, wanted: AuditFilter
    ) -> tuple[list[AuditEntry], str, int]:
        """One page, the token of the next one, and how many there are, up to COUNTED_MAX."""
        statement = select(audit_entries).where(*visible(audit_entries, self._caller))
        for name in ("action", "actor", "object_id"):
            if getattr(wanted, name):
                statement = statement.where(audit_entries.c[name] == getattr(wanted, name))
        if wanted.start_time is not None:
            statement = statement.where(audit_entries.c.create_time >= wanted.start_time)
        if wanted.end_time is not None:
            statement = statement.where(audit_entries.c.create_time < wanted.end_time)
        page = paginate(
            self._connection,
            statement,
            query,
            sortable=_SORTABLE,
            default="-created_at",
            tie=audit_entries.c.id,
            count_max=COUNTED_MAX,
        )
        return [_entry_from_row(row) for row in page.rows], page.next_token, page.total_size


def _entry_from_row(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        deed=Deed(
            action=row.action,
            object_id=row.object_id,
            before=row.before,
            after=row.after,
            reason=row.reason,
        ),
        actor=row.actor,
        acting_for=row.acting_for,
        client_address=row.client_address,
        request_id=row.request_id,
        create_time=row.create_time,
    )
