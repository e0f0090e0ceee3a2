"""Grants by hand: bought credits, credits that an operator adds, and taking back what is left."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import InvalidFields, Violation
from chassis.outbox import Outbox
from chassis.pages import Page, PageQuery
from services.billing import events, ledger
from services.billing.domain import (
    PRIORITY_DEFAULT,
    Grant,
    Share,
    TransactionType,
)
from services.billing.errors import TooManyCredits
from services.billing.ledger import Kind
from services.billing.service.journal import Journal, open_journal
from services.billing.service.requests import Once, Request
from services.billing.store import DatabaseTime, GrantStore, Moment, actor_of


class Grants:
    """Lists, makes and revokes grants."""

    def __init__(self, database: Database, outbox: Outbox, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._outbox = outbox
        self._moment = moment

    async def page(self, caller: Caller, query: PageQuery, *, only_available: bool) -> Page:
        """The account's grants."""

        def work(connection: Connection) -> Page:
            return GrantStore(connection, caller).page(query, only_available=only_available)

        return await self._database.read(work)

    async def create(
        self,
        caller: Caller,
        request: Request,
        transaction_type: TransactionType,
        credits_granted: int,
        *,
        priority: int = 0,
        expire_time: datetime | None = None,
    ) -> Grant:
        """Brings credits in. Raises RequestIdReused, InvalidFields and TooManyCredits."""
        once = Once("grant", request, transaction_type, credits_granted, priority, expire_time)

        def work(connection: Connection) -> Grant:
            with open_journal(connection, caller, self._outbox, self._moment) as journal:
                done = once.before(journal)
                if done is None:
                    if expire_time is not None and expire_time <= journal.now:
                        raise InvalidFields(Violation("expire_time", "must be in the future"))
                    grant = journal.new_grant(
                        key=once.key,
                        transaction_type=transaction_type,
                        credits_granted=credits_granted,
                        priority=priority or PRIORITY_DEFAULT,
                        expire_time=expire_time,
                        reason=request.reason,
                    )
                    done = bring_in(journal, grant, **once.marks)
            found = GrantStore(connection, caller).by_transaction(done)
            assert found is not None, "the transaction brought a grant"
            return found

        return await self._database.write(work)

    async def revoke(self, caller: Caller, grant_id: str, reason: str) -> Grant:
        """Takes what is left of a grant; a revoked one answers itself. Raises NotFound."""

        def work(connection: Connection) -> Grant:
            with open_journal(connection, caller, self._outbox, self._moment) as journal:
                grant = journal.grants.get(grant_id)
                if grant.revoke_time is not None:
                    return grant
                journal.grants.revoke(grant_id, journal.now, reason, actor_of(caller))
                if grant.available:
                    _take_back(journal, grant, reason)
            return GrantStore(connection, caller).get(grant_id)

        return await self._database.write(work)


def _take_back(journal: Journal, grant: Grant, reason: str) -> None:
    transaction = journal.transaction(
        Kind.REVOKE,
        ledger.take_back([Share(grant.id, grant.available)]),
        TransactionType.ADJUSTMENT,
        description="What was left of a grant was taken back.",
        reason=reason,
        corrected_transaction_id=grant.transaction_id,
    )
    balance = journal.post([transaction])
    journal.books.tell(events.revoked(journal.caller, transaction, grant.id, balance.available))


def bring_in(journal: Journal, grant: Grant, **marks: Any) -> str:
    """Adds a grant and answers its transaction. Raises TooManyCredits."""
    if grant.credits > journal.room():
        raise TooManyCredits(journal.room())
    noun = "Purchase" if grant.transaction_type is TransactionType.PURCHASE else "Adjustment"
    return journal.add_grant(grant, f"{noun} of {grant.credits} credits.", **marks).id
