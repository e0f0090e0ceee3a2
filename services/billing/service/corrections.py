"""Putting right what was charged or granted: adjustments and refunds.

All are new transactions that name the old one; nothing that was written is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import InvalidTransition
from chassis.outbox import Outbox
from services.billing import events, ledger
from services.billing.domain import PRIORITY_DEFAULT, Share, TransactionType
from services.billing.errors import ACCOUNT, InsufficientCredits, RefundExceedsCharge
from services.billing.ledger import Kind
from services.billing.service.grants import bring_in
from services.billing.service.journal import Journal, open_journal
from services.billing.service.plans import renew_if_due
from services.billing.service.requests import Once, Request
from services.billing.store import DatabaseTime, LedgerStore, Moment

REFUND_LIFE = timedelta(days=30)
"""How long refunded credits last when the grant that they came from has ended."""


class Corrections:
    """Adjusts and refunds."""

    def __init__(self, database: Database, outbox: Outbox, moment: Moment = DatabaseTime) -> None:
        self._database = database
        self._outbox = outbox
        self._moment = moment

    async def adjust(
        self, caller: Caller, request: Request, credits_added: int, corrected_id: str = ""
    ) -> Row[Any]:
        """Adds credits, or takes some that are available; answers the transaction.

        Raises RequestIdReused, NotFound for the transaction to correct, InsufficientCredits and
        TooManyCredits.
        """
        once = Once("adjust", request, credits_added, corrected_id)

        def work(connection: Connection) -> Row[Any]:
            with open_journal(connection, caller, self._outbox, self._moment) as journal:
                done = once.before(journal)
                if done is None:
                    if corrected_id:
                        journal.ledger.get(corrected_id)
                    marks = {**once.marks, "corrected_transaction_id": corrected_id or None}
                    done = (
                        _add(journal, request, credits_added, marks)
                        if credits_added > 0
                        else _take(journal, request, -credits_added, marks)
                    )
            return LedgerStore(connection, caller).get(done)

        return await self._database.write(work)

    async def refund(
        self, caller: Caller, request: Request, transaction_id: str, credits_returned: int = 0
    ) -> Row[Any]:
        """Gives back what a deduction spent, or part of it; answers the transaction.

        Raises RequestIdReused, NotFound, InvalidTransition for what is no deduction and
        RefundExceedsCharge.
        """
        once = Once("refund", request, transaction_id, credits_returned)

        def work(connection: Connection) -> Row[Any]:
            with open_journal(connection, caller, self._outbox, self._moment) as journal:
                done = once.before(journal)
                if done is None:
                    deduction = journal.ledger.get(transaction_id)
                    if deduction.transaction_type != TransactionType.DEDUCTION:
                        raise InvalidTransition("Only deductions can be refunded.")
                    shares = _to_return(journal, deduction, credits_returned)
                    marks = {**once.marks, "reason": request.reason}
                    done = _give_back(journal, deduction, shares, marks)
            return LedgerStore(connection, caller).get(done)

        return await self._database.write(work)


def _add(journal: Journal, request: Request, credits_added: int, marks: dict[str, Any]) -> str:
    grant = journal.new_grant(
        key=marks["request_key"],
        transaction_type=TransactionType.ADJUSTMENT,
        credits_granted=credits_added,
        priority=PRIORITY_DEFAULT,
        reason=request.reason,
    )
    return bring_in(journal, grant, **marks)


def _take(journal: Journal, request: Request, wanted: int, marks: dict[str, Any]) -> str:
    renew_if_due(journal)
    shares = journal.choose(wanted)
    if shares is None:
        raise InsufficientCredits(
            required=wanted,
            available=journal.usable(),
            limit=ACCOUNT,
            limit_id=journal.caller.account_id,
        )
    transaction = journal.transaction(
        Kind.ADJUST,
        ledger.take_back(shares),
        TransactionType.ADJUSTMENT,
        description=f"Adjustment of {-wanted} credits.",
        reason=request.reason,
        **marks,
    )
    balance = journal.post([transaction])
    journal.books.tell(events.revoked(journal.caller, transaction, "", balance.available))
    return transaction.id


def _to_return(journal: Journal, deduction: Row[Any], wanted: int) -> list[Share]:
    """Whose credits come back: those that burned last first."""
    spent = {share.grant_id: share.credits for share in journal.ledger.spent(deduction.id)}
    left = sum(spent.values())
    wanted = wanted or left
    if not 0 < wanted <= left:
        raise RefundExceedsCharge(deduction.id, required=max(1, wanted), available=left)
    burned = [Share(each, spent[each]) for each in journal.grants.by_ids(list(spent))]
    return ledger.split(burned[::-1], wanted)[0]


def _give_back(
    journal: Journal, deduction: Row[Any], shares: Sequence[Share], marks: dict[str, Any]
) -> str:
    """Posts the refund; what came from grants that have ended comes as a new grant."""
    grants = journal.grants.by_ids([share.grant_id for share in shares])
    ended = [share for share in shares if grants[share.grant_id].has_ended(journal.now)]
    alive = [share for share in shares if share not in ended]
    successor = journal.new_grant(
        key=marks["request_key"],
        transaction_type=TransactionType.REFUND,
        credits_granted=sum(share.credits for share in ended),
        priority=min(
            (grants[share.grant_id].priority for share in ended), default=PRIORITY_DEFAULT
        ),
        expire_time=journal.now + REFUND_LIFE,
        reason=marks["reason"],
    )
    transaction = journal.transaction(
        Kind.REFUND,
        ledger.refund(alive, ended, successor.id),
        TransactionType.REFUND,
        description=f"Refund: {deduction.description}",
        operation=deduction.operation,
        corrected_transaction_id=deduction.id,
        site_id=deduction.site_id,
        sector_id=deduction.sector_id,
        run_id=deduction.run_id,
        **marks,
    )
    if ended:
        journal.books.add_grant(replace(successor, transaction_id=transaction.id))
    balance = journal.post([transaction])
    journal.books.tell(events.refunded(journal.caller, transaction, balance.available))
    return transaction.id
