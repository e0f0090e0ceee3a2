"""Holding credits back: quotes and reservations, by the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from chassis import ids
from chassis.caller import Caller
from chassis.errors import RequestIdReused
from services.billing import events, ledger
from services.billing.domain import (
    Budget,
    BudgetScope,
    Item,
    Operation,
    PricedItem,
    Quote,
    Reservation,
    ReservationState,
    Share,
    scopes_of,
)
from services.billing.errors import ACCOUNT, InsufficientCredits
from services.billing.prices import describe, price_items, total, variant_of
from services.billing.service.budgets import counted
from services.billing.service.calls import Call
from services.billing.service.group_commit import GroupCommit
from services.billing.service.journal import Journal
from services.billing.service.plans import renew_if_due
from services.billing.store import (
    AccountBooks,
    BalanceStore,
    CatalogueStore,
    actor_of,
    find_reservation,
)

TTL_DEFAULT = timedelta(days=1)
"""How long a reservation holds when nobody says."""


@dataclass(frozen=True, slots=True)
class Work:
    """What reservations are for, beside the caller's site."""

    run_id: str = ""
    api_key_id: str | None = None
    """Empty for a user; None when the caller cannot know, then it is that of the run."""
    run_cap: int | None = None
    """Most that the run may use; None where nothing is said about that."""


class Reservations:
    """Quotes, makes and finds reservations."""

    def __init__(self, group_commit: GroupCommit) -> None:
        self._group_commit = group_commit
        self._database = group_commit.database
        self._moment = group_commit.moment

    async def quote(self, caller: Caller, items: Sequence[Item]) -> Quote:
        """What a reservation would hold back, without an effect.

        Raises InvalidFields as `reserve` does; too few credits are not refused, but shown.
        """

        def work(connection: Connection) -> Quote:
            operations = {item.operation for item in items}
            prices, _ = CatalogueStore(connection).prices_now(operations, self._moment)
            priced = price_items(items, prices)
            balance = BalanceStore(connection, caller).get()
            return Quote(priced, total(priced), balance.available)

        return await self._database.read(work)

    async def reserve(
        self,
        caller: Caller,
        items: Sequence[Item],
        *,
        work_for: Work = Work(),
        ttl: timedelta = TTL_DEFAULT,
    ) -> list[Reservation]:
        """Holds credits back for all items, or for none; one reservation for each, in order.

        A key that has a reservation answers it, whatever became of it. Raises
        InsufficientCredits, RequestIdReused for a key that pays for something else, and
        InvalidFields for what has no price.
        """
        return await self._group_commit.run(
            Reserve(caller=caller, items=tuple(items), work_for=work_for, ttl=ttl)
        )

    async def get(self, caller: Caller, key: str) -> Reservation:
        """One reservation. Raises NotFound."""
        return await self._database.read(
            lambda connection: find_reservation(connection, caller, key)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve(Call[list[Reservation]]):
    """Holds credits back."""

    items: tuple[Item, ...]
    work_for: Work
    ttl: timedelta

    @property
    def keys(self) -> list[str]:
        """See Call."""
        return [item.key for item in self.items]

    @property
    def operations(self) -> set[Operation]:
        """See Call."""
        return {item.operation for item in self.items}

    @property
    def run_of_key(self) -> str:
        """See Call."""
        return self.work_for.run_id if self.work_for.api_key_id is None else ""

    def scopes(self, books: AccountBooks) -> dict[BudgetScope, str]:
        """See Call."""
        return scopes_of(self.caller.site_id, self._api_key(books), self.work_for.run_id)

    def run(self, journal: Journal) -> list[Reservation]:
        """See Call."""
        books = journal.books
        known = self._known(books)
        priced = price_items(self.items, books.unit.prices, known)
        if priced:
            api_key_id = self._api_key(books)
            fresh = [self._reservation(each, api_key_id, books.now) for each in priced]
            self._hold(journal, fresh)
            known |= {each.key: each for each in fresh}
        return [known[item.key] for item in self.items]

    def _known(self, books: AccountBooks) -> dict[str, Reservation]:
        """What was reserved before. Raises RequestIdReused for what is something else."""
        known = {}
        for item in self.items:
            held = books.reservation(item.key)
            if held is None:
                continue
            variant = variant_of(item.operation, item.variant)
            if not held.reservation.is_for(item.operation, variant, item.quantity):
                raise RequestIdReused
            known[item.key] = held.reservation
        return known

    def _hold(self, journal: Journal, fresh: Sequence[Reservation]) -> None:
        books = journal.books
        wanted = sum(each.credits_reserved for each in fresh)
        shares, budgets = self._afforded(journal, fresh[0], wanted) if wanted else ([], [])
        transactions = []
        for each in fresh:
            own, shares = ledger.split(shares, each.credits_reserved)
            books.add_reservation(each, own, actor_of(self.caller))
            transactions.append(_holding(self.caller, each, own))
        balance = journal.post(transactions)
        for budget in budgets:
            books.set_budget(budget)
        for fact in events.reserved(self.caller, fresh, balance.available):
            books.tell(fact)

    def _afforded(
        self, journal: Journal, first: Reservation, wanted: int
    ) -> tuple[list[Share], list[Budget]]:
        """Whose credits are held, and the budgets with them. Raises InsufficientCredits."""
        shares = None if journal.books.period_has_ended() else journal.choose(wanted)
        if shares is None:
            if renew_if_due(journal):
                # A period that has begun stays so, even if its credits are too few.
                journal.books.unit.keep()
            shares = journal.choose(wanted)
        if shares is None:
            raise InsufficientCredits(
                required=wanted,
                available=journal.usable(),
                limit=ACCOUNT,
                limit_id=journal.caller.account_id,
            )
        return shares, counted(journal, first, wanted, self.work_for.run_cap)

    def _api_key(self, books: AccountBooks) -> str:
        if self.work_for.api_key_id is not None:
            return self.work_for.api_key_id
        return books.api_key_of_run(self.work_for.run_id) if self.work_for.run_id else ""

    def _reservation(self, priced: PricedItem, api_key_id: str, now: datetime) -> Reservation:
        return Reservation(
            id=ids.new_id(),
            account_id=self.caller.account_id,
            site_id=self.caller.site_id,
            sector_id=self.caller.sector_id,
            run_id=self.work_for.run_id,
            api_key_id=api_key_id,
            request_id=self.caller.request_id,
            key=priced.item.key,
            state=ReservationState.OPEN,
            operation=priced.item.operation,
            variant=priced.price.variant,
            quantity=priced.item.quantity,
            unit=priced.price.unit,
            unit_credits=priced.price.credits,
            price_version=priced.price.version,
            credits_reserved=priced.credits,
            credits_charged=0,
            expire_time=now + self.ttl,
            create_time=now,
            settle_time=None,
        )


def _holding(
    caller: Caller, reservation: Reservation, shares: Sequence[Share]
) -> ledger.Transaction:
    return ledger.Transaction(
        id=ids.new_id(),
        account_id=reservation.account_id,
        kind=ledger.Kind.RESERVE,
        entries=ledger.reserve(shares),
        description=describe(reservation.operation, reservation.unit, reservation.quantity),
        operation=reservation.operation,
        reservation_id=reservation.id,
        site_id=reservation.site_id,
        sector_id=reservation.sector_id,
        run_id=reservation.run_id,
        request_id=reservation.request_id,
        principal=actor_of(caller),
        create_time=reservation.create_time,
    )
