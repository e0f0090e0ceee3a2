"""What can be done in a group: calls and events that name what has to be looked up for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from chassis.caller import Caller
from services.billing.domain import BudgetScope, Operation
from services.billing.service.journal import Journal
from services.billing.store import AccountBooks

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as a consumer heard it; the inbox lets each take effect once."""

    consumer: str
    event_id: str

    @property
    def pair(self) -> tuple[str, str]:
        """The key of the inbox."""
        return self.consumer, self.event_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(ABC, Generic[_T]):
    """Something to be done in an account's books, and what has to be looked up for it.

    What is not named here is looked up when it is needed, at the price of a statement more.
    """

    caller: Caller

    @property
    @abstractmethod
    def keys(self) -> Collection[str]:
        """Keys of reservations."""

    @property
    def heard(self) -> Heard | None:
        """The event that this call is about: heard before, the call does nothing."""
        return None

    @property
    def operations(self) -> Collection[Operation]:
        """What has to be priced."""
        return ()

    @property
    def run_of_key(self) -> str:
        """The run whose API key is wanted."""
        return ""

    def scopes(self, books: AccountBooks) -> Mapping[BudgetScope, str]:
        """What budgets have to be looked at."""
        found: dict[BudgetScope, str] = {}
        for key in self.keys:
            held = books.reservation(key)
            if held is not None:
                found.update(held.reservation.scopes)
        return found

    @abstractmethod
    def run(self, journal: Journal) -> _T:
        """Does it. Refuses before anything was noted, or not at all."""
