"""Operators at work on the account of somebody else: asked for, with a reason, and recorded."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import NotFound
from gateway.admission.principals import ActingRequest, Principal
from gateway.identity.domain import OPERATORS, Deed
from gateway.identity.errors import AccountInactive, MayNotAct
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.audit import AuditStore


class IdentityActing:
    """Lets operators act, once it is written down in both accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def act(self, principal: Principal, asked: ActingRequest) -> Principal:
        """The principal on the other account; see gateway.admission.principals."""
        if principal.role not in OPERATORS or principal.allowed_sites is not None:
            raise MayNotAct
        if asked.account_id == principal.account_id:
            return principal
        home = Caller(
            issuer="",
            principal=principal.principal,
            account_id=principal.account_id,
            role=principal.role,
            request_id=asked.request_id,
            client_address=asked.client_address,
        )

        def work(connection: Connection) -> None:
            account = AccountStore(connection).account(asked.account_id)
            if account is None:
                raise NotFound("account", asked.account_id)
            if not account.usable:
                raise AccountInactive
            deed = Deed(
                action="account.acted_on",
                object_id=asked.account_id,
                after={"method": asked.method},
                reason=asked.reason,
            )
            there = replace(home, account_id=account.id, acting_for=home.account_id)
            for who in (home, there):
                AuditStore(connection, who).record(deed)

        # Written down first: what happened without a record would have no reason.
        await self._database.write(work)
        return replace(
            principal,
            account_id=asked.account_id,
            acting_for=principal.account_id,
            allowed_sites=None,
        )
