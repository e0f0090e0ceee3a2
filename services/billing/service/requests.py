"""What operators ask for takes effect once, for ever, and names who and why.

The id of the request is kept with the transaction that it made, not among the answers that are
forgotten after a while.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from chassis.errors import RequestIdReused
from services.billing.service.journal import Journal


@dataclass(frozen=True, slots=True)
class Request:
    """One request of an operator."""

    id: str
    reason: str


class Once:
    """What one request asks for, in a form that can be found again."""

    def __init__(self, verb: str, request: Request, *asked: object) -> None:
        self.key = f"{verb}/{request.id}"
        text = "\x1f".join("" if part is None else str(part) for part in (request.reason, *asked))
        self._hash = hashlib.sha256(text.encode()).hexdigest()

    @property
    def marks(self) -> dict[str, Any]:
        """What the transaction has to remember."""
        return {"request_key": self.key, "request_hash": self._hash}

    def before(self, journal: Journal) -> str | None:
        """The transaction that the request made before. Raises RequestIdReused for another one."""
        row = journal.ledger.by_request_key(self.key)
        if row is None:
            return None
        if row.request_hash != self._hash:
            raise RequestIdReused
        found: str = row.id
        return found
