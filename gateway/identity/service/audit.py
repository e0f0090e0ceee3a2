"""The audit log as admins read it."""

from __future__ import annotations

from chassis.access import require_whole_account
from chassis.caller import Caller
from chassis.database import Database
from chassis.pages import PageQuery
from gateway.identity.domain import AuditEntry, AuditFilter
from gateway.identity.store.audit import AuditStore


class Audit:
    """What was done in the caller's account."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_entries(
        self, caller: Caller, query: PageQuery, wanted: AuditFilter
    ) -> tuple[list[AuditEntry], str, int]:
        """One page of entries, the token of the next one, and how many there are."""
        require_whole_account(caller)
        return await self._database.read(
            lambda connection: AuditStore(connection, caller).list_entries(query, wanted)
        )
