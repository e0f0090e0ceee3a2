"""Double entry: which accounts an operation moves credits between, grant by grant. Pure.

Every posting sums to zero for each grant and has no zero entry; an operation that moves nothing
has no posting at all. Nothing here is ever changed: a mistake is mended by another posting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from services.billing.domain import Balance, Operation, Share, TransactionType


class LedgerAccount(StrEnum):
    """The five ledger accounts that each grant of a credit account has."""

    SOURCE = "source"
    """Where granted credits come from, and where revoked ones go; never positive."""
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
    """A reservation ran out of time."""
    LAPSE = "lapse"
    """A grant ran out of time."""
    REVOKE = "revoke"
    ADJUST = "adjust"
    REFUND = "refund"


class Entry(NamedTuple):
    """What a posting does to one ledger account of one grant."""

    ledger_account: LedgerAccount
    grant_id: str
    amount: int


Entries = tuple[Entry, ...]
_A = LedgerAccount
_ACCOUNTS = tuple(LedgerAccount)


def grant(grant_id: str, credits_granted: int) -> Entries:
    """Credits come in."""
    return _posting(_moved([Share(grant_id, credits_granted)], _A.SOURCE, _A.AVAILABLE))


def reserve(shares: Sequence[Share]) -> Entries:
    """Credits are held back."""
    return _posting(_moved(shares, _A.AVAILABLE, _A.RESERVED))


def commit(shares: Sequence[Share], credits_charged: int) -> Entries:
    """A hold ends: what was used is spent, from the first grants; the rest returns."""
    spent, returned = split(shares, credits_charged)
    return _posting(
        [*_moved(spent, _A.RESERVED, _A.SPENT), *_moved(returned, _A.RESERVED, _A.AVAILABLE)]
    )


def release(shares: Sequence[Share]) -> Entries:
    """A hold ends without use: voided or expired."""
    return _posting(_moved(shares, _A.RESERVED, _A.AVAILABLE))


def lapse(shares: Sequence[Share]) -> Entries:
    """What is left of grants runs out of time."""
    return _posting(_moved(shares, _A.AVAILABLE, _A.EXPIRED))


def take_back(shares: Sequence[Share]) -> Entries:
    """Available credits leave as if they had never come: revoked, or adjusted away."""
    return _posting(_moved(shares, _A.AVAILABLE, _A.SOURCE))


def refund(shares: Sequence[Share], ended: Sequence[Share], successor_id: str) -> Entries:
    """Spent credits come back; those of grants that have ended come as another grant."""
    total = sum(share.credits for share in ended)
    return _posting(
        [
            *_moved(shares, _A.SPENT, _A.AVAILABLE),
            *_moved(ended, _A.SPENT, _A.SOURCE),
            *_moved([Share(successor_id, total)], _A.SOURCE, _A.AVAILABLE),
        ]
    )


def split(shares: Sequence[Share], first: int) -> tuple[list[Share], list[Share]]:
    """The first so many credits, and the rest. Raises ValueError when there are fewer."""
    head: list[Share] = []
    tail: list[Share] = []
    for share in shares:
        taken = min(share.credits, first)
        first -= taken
        head.append(Share(share.grant_id, taken))
        tail.append(Share(share.grant_id, share.credits - taken))
    if first > 0:
        raise ValueError("more credits than there are")
    return [s for s in head if s.credits], [s for s in tail if s.credits]


def change_of(entries: Iterable[Entry]) -> Balance:
    """What entries do to the balance."""
    return change((entry.ledger_account, entry.amount) for entry in entries)


def change(amounts: Iterable[tuple[LedgerAccount, int]]) -> Balance:
    """What amounts on ledger accounts do to the balance."""
    sums = dict.fromkeys(_ACCOUNTS, 0)
    for ledger_account, amount in amounts:
        sums[ledger_account] += amount
    return Balance(
        granted=-sums[_A.SOURCE] - sums[_A.EXPIRED],
        available=sums[_A.AVAILABLE],
        reserved=sums[_A.RESERVED],
        spent=sums[_A.SPENT],
    )


def returned(postings: Iterable[Entries]) -> dict[str, int]:
    """What many postings together do to what is available of each grant; no zeros."""
    sums: dict[str, int] = {}
    for posting in postings:
        for entry in posting:
            if entry.ledger_account is _A.AVAILABLE:
                sums[entry.grant_id] = sums.get(entry.grant_id, 0) + entry.amount
    return {grant_id: amount for grant_id, amount in sorted(sums.items()) if amount}


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
    """Who caused it."""
    reason: str = ""
    request_key: str | None = None
    """What makes an operator's request take effect once; unique in the account, for ever."""
    request_hash: str | None = None
    change: Balance = field(init=False)
    """What the posting does to the balance."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "change", change_of(self.entries))

    @property
    def amount(self) -> int:
        """Effect on the account's credits: available and reserved together."""
        return self.change.available + self.change.reserved


def _moved(
    shares: Iterable[Share], source: LedgerAccount, target: LedgerAccount
) -> Iterable[Entry]:
    for share in shares:
        yield Entry(source, share.grant_id, -share.credits)
        yield Entry(target, share.grant_id, share.credits)


def _posting(entries: Iterable[Entry]) -> Entries:
    sums: dict[tuple[LedgerAccount, str], int] = {}
    for ledger_account, grant_id, amount in entries:
        key = ledger_account, grant_id
        sums[key] = sums.get(key, 0) + amount
    return tuple(Entry(*key, amount) for key, amount in sums.items() if amount)
