"""Answers kept by request id, so that a repeated call has one effect and one answer (AIP-155).

The answer is stored in the transaction of the effect: there is never one without the other.
Scope is account, principal and method: nobody meets an answer that was given to another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from google.protobuf.message import Message
from sqlalchemy import ColumnElement, Connection, delete, select, tuple_, update

from chassis import clock
from chassis.caller import Caller
from chassis.errors import RequestIdReused
from chassis.plumbing import new_metadata
from chassis.statements import insert_if_absent

_T = TypeVar("_T")
_M = TypeVar("_M", bound=Message)


FORGET_BATCH = 1_000
"""Rows that one call forgets at most, so that its transaction stays short."""
_KEY = ("account_id", "principal", "method", "request_id")
_REPLIES = new_metadata().tables["replies"]


class Reply(Generic[_T, _M]):
    """How one call is answered, and whether it was answered before.

    `request` must have a `request_id` field; when it is empty nothing is stored and every
    call has its own effect. `render` turns the result into the response message.
    """

    def __init__(
        self,
        caller: Caller,
        method: str,
        request: Message,
        response_type: type[_M],
        render: Callable[[_T], _M],
    ) -> None:
        self.request_id: str = getattr(request, "request_id", "")
        self._key = {
            "account_id": caller.account_id,
            "principal": caller.principal,
            "method": method,
            "request_id": self.request_id,
        }
        self.fingerprint = _fingerprint(request, caller)
        """Hash of the request and its tenant: what two calls must share to be the same call."""
        self._type = response_type
        self._render = render

    def stored(self, connection: Connection) -> _M | None:
        """The answer given before, if any. Raises RequestIdReused when the body was another."""
        if not self.request_id:
            return None
        row = connection.execute(
            select(_REPLIES.c.request_hash, _REPLIES.c.response).where(*self._where())
        ).one_or_none()
        if row is None:
            return None
        if row.request_hash != self.fingerprint:
            raise RequestIdReused
        return self._type.FromString(row.response)

    def once(self, connection: Connection, work: Callable[[], _T]) -> _M:
        """Runs `work` and keeps its answer, or answers as before without running it.

        The row is claimed first: of two calls at the same time the second waits there for the
        first one's commit, and then finds its answer.
        """
        if not self.request_id:
            return self._render(work())
        claimed = insert_if_absent(
            connection,
            _REPLIES,
            **self._key,
            request_hash=self.fingerprint,
            response=b"",
            create_time=clock.now(),
        )
        if not claimed:
            before = self.stored(connection)
            assert before is not None, "the row that was in the way is there"
            return before
        response = self._render(work())
        connection.execute(
            update(_REPLIES).where(*self._where()).values(response=response.SerializeToString())
        )
        return response

    def _where(self) -> list[ColumnElement[bool]]:
        return [_REPLIES.c[name] == value for name, value in self._key.items()]


def forget(connection: Connection, before: datetime) -> int:
    """Forgets answers given before this time, at most FORGET_BATCH of them; says how many."""
    key = tuple_(*(_REPLIES.c[name] for name in _KEY))
    old = (
        select(*(_REPLIES.c[name] for name in _KEY))
        .where(_REPLIES.c.create_time < before)
        .order_by(_REPLIES.c.create_time)
        .limit(FORGET_BATCH)
    )
    return connection.execute(delete(_REPLIES).where(key.in_(old))).rowcount


def _fingerprint(request: Message, caller: Caller) -> str:
    """Hash of what the call asks for; its tenant is part of that, its request id is not."""
    digest = hashlib.sha256(f"{caller.site_id}\x1f{caller.sector_id}\x1f".encode())
    digest.update(request.SerializeToString(deterministic=True))
    return digest.hexdigest()
