"""Double entry: which accounts an operation moves credits between. Pure.

Every posting sums to zero and has no zero entry; an operation that moves nothing has no
posting at all. Nothing here is ever changed: a mistake is mended by another posting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.billing.domain import Balance, Operation, TransactionType


class LedgerAccount(StrEnum):
    """The five ledger accounts that each credit account has."""

    SOURCE = "source"
    """Where granted credits come from; never positive."""
    AVAILABLE = "available"
    RESERVED = "reserved"
    SPENT = "spent"
    EXPIRED = "expired"
    """Granted credits that ran out of time."""


class Kind(StrEnum):
    """The operation that a transaction records."""

    GRANT = "grant"
    RESERVE = "reserve"
    COMMIT = "commit"
    VOID = "void"
    EXPIRE = "expire"


Entries = Mapping[LedgerAccount, int]
_A = LedgerAccount


def grant(credits_granted: int) -> Entries:
    """Credits come in."""
    return _posting({_A.SOURCE: -credits_granted, _A.AVAILABLE: credits_granted})


def reserve(credits_reserved: int) -> Entries:
    """Credits are held back."""
    return _posting({_A.AVAILABLE: -credits_reserved, _A.RESERVED: credits_reserved})


def commit(credits_reserved: int, credits_charged: int) -> Entries:
    """A hold ends: what was used is spent, the rest returns."""
    if credits_charged > credits_reserved:
        raise ValueError("more charged than reserved")
    return _posting(
        {
            _A.RESERVED: -credits_reserved,
            _A.SPENT: credits_charged,
            _A.AVAILABLE: credits_reserved - credits_charged,
        }
    )


def release(credits_reserved: int) -> Entries:
    """A hold ends without use: voided or expired."""
    return _posting({_A.RESERVED: -credits_reserved, _A.AVAILABLE: credits_reserved})


def change(entries: Entries) -> Balance:
    """What a posting, or the sum of many, does to the balance."""
    return Balance(
        granted=-entries.get(_A.SOURCE, 0) - entries.get(_A.EXPIRED, 0),
        available=entries.get(_A.AVAILABLE, 0),
        reserved=entries.get(_A.RESERVED, 0),
        spent=entries.get(_A.SPENT, 0),
    )


def total_change(postings: Iterable[Entries]) -> Balance:
    """What many postings together do to the balance."""
    changes = [change(entries) for entries in postings]
    return Balance(
        granted=sum(each.granted for each in changes),
        available=sum(each.available for each in changes),
        reserved=sum(each.reserved for each in changes),
        spent=sum(each.spent for each in changes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One posting and what is worth knowing about it."""

    id: str
    account_id: str
    kind: Kind
    entries: Entries
    create_time: datetime
    transaction_type: TransactionType | None = None
    """None for what only moves credits between available and reserved."""
    description: str = ""
    operation: Operation | None = None
    reservation_id: str | None = None
    corrected_transaction_id: str | None = None
    site_id: str = ""
    sector_id: str = ""
    run_id: str = ""
    request_id: str = ""
    principal: str = ""
    """Who caused it, as Caller.principal."""
    amount: int = field(init=False)
    """Effect on the account's credits: available and reserved together."""

    def __post_init__(self) -> None:
        moved = change(self.entries)
        object.__setattr__(self, "amount", moved.available + moved.reserved)


def _posting(entries: dict[LedgerAccount, int]) -> Entries:
    posting = {account: amount for account, amount in entries.items() if amount}
    if sum(posting.values()) != 0:
        raise ValueError("a posting must sum to zero")
    return posting
