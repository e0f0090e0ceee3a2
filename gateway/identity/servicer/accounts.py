"""The gRPC edge of accounts and their audit log."""

from __future__ import annotations

from typing import Any

from writer.identity.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    identity_pb2,
)

from chassis import caller
from chassis.pages import PageQuery
from gateway.identity import mapping
from gateway.identity.service.accounts import Accounts
from gateway.identity.service.audit import Audit


class AccountServicer(accounts_pb2_grpc.AccountServiceServicer):
    """The caller's account, and for operators any."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def GetAccount(
        self, request: accounts_pb2.GetAccountRequest, context: Any
    ) -> identity_pb2.Account:
        return mapping.account_to_proto(await self._accounts.get_account(caller.current()))

    async def UpdateAccount(
        self, request: accounts_pb2.UpdateAccountRequest, context: Any
    ) -> identity_pb2.Account:
        changes = mapping.changes(request, "name", "allowed_origins", needed=("name",))
        account = await self._accounts.update_account(
            changes.get("name"), changes.get("allowed_origins"), request.etag, caller.current()
        )
        return mapping.account_to_proto(account)

    async def SuspendAccount(
        self, request: accounts_pb2.SuspendAccountRequest, context: Any
    ) -> identity_pb2.Account:
        account = await self._accounts.suspend_account(request.id, request.reason, caller.current())
        return mapping.account_to_proto(account)

    async def CancelAccount(
        self, request: accounts_pb2.CancelAccountRequest, context: Any
    ) -> identity_pb2.Account:
        account = await self._accounts.cancel_account(request.id, request.reason, caller.current())
        return mapping.account_to_proto(account)

    async def ReactivateAccount(
        self, request: accounts_pb2.ReactivateAccountRequest, context: Any
    ) -> identity_pb2.Account:
        account = await self._accounts.reactivate_account(
            request.id, request.reason, caller.current()
        )
        return mapping.account_to_proto(account)


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """What was done in an account."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def ListAuditEntries(
        self, request: audit_pb2.ListAuditEntriesRequest, context: Any
    ) -> audit_pb2.ListAuditEntriesResponse:
        wanted = mapping.audit_filter_from_proto(request)
        entries, token, total = await self._audit.list_entries(
            caller.current(), PageQuery.of(request), wanted
        )
        return audit_pb2.ListAuditEntriesResponse(
            audit_entries=[mapping.audit_entry_to_proto(entry) for entry in entries],
            next_page_token=token,
            total_size=total,
        )
