"""Operators at work on the account of somebody else: asked for, with a reason, and recorded."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from gateway.admission.principals import ActingRequest, Principal
from gateway.identity.domain import OPERATORS, Deed
from gateway.identity.errors import MayNotAct
from gateway.identity.standing import require_usable
from gateway.identity.store.audit import AuditStore


class IdentityActing:
    """Lets operators act, once it is written down in both accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def act(self, principal: Principal, asked: ActingRequest) -> Principal:
        """The principal on the other account; see gateway.admission.principals."""
        _require_operator(principal)
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
            require_usable(connection, asked.account_id)
            deed = Deed(
                action="account.acted_on",
                object_id=asked.account_id,
                after={"method": asked.method},
                reason=asked.reason,
            )
            there = replace(home, account_id=asked.account_id, acting_for=home.account_id)
            for who in (home, there):
                AuditStore(connection, who).record(deed)

        # Written down first: what happened without a record would have no reason.
        await self._database.write(work)
        return _on(principal, asked.account_id)

    async def confirm(self, principal: Principal, account_id: str) -> Principal:
        """The same once more, without a record; see gateway.admission.principals."""
        _require_operator(principal)
        await self._database.read(lambda connection: require_usable(connection, account_id))
        return _on(principal, account_id)


def _require_operator(principal: Principal) -> None:
    if principal.role not in OPERATORS or principal.allowed_sites is not None:
        raise MayNotAct


def _on(principal: Principal, account_id: str) -> Principal:
    return replace(
        principal, account_id=account_id, acting_for=principal.account_id, allowed_sites=None
    )
