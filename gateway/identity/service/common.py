"""What several use cases ask of a caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from chassis.replies import Reply
from gateway.identity.domain import RANKS, Role, rank_within
from gateway.identity.errors import (
    DoesNotLast,
    InvalidCredential,
    NotAPerson,
    RightsChanged,
    RoleTooHigh,
)
from gateway.identity.standing import end_of_secret, require_usable, signed_in
from gateway.identity.store.keys import key_by_prefix

_T = TypeVar("_T")
_M = TypeVar("_M", bound=Message)
OnChange = Callable[[str], None]
"""Is told the id of an account after a commit that takes something away from its people."""


def require_rank(caller: Caller, *roles: Role) -> None:
    """Raises RoleTooHigh when one of the roles stands above the caller."""
    rank = rank_within(caller.role, acting=bool(caller.acting_for))
    if any(RANKS[role] > rank for role in roles):
        raise RoleTooHigh


def require_lasting(connection: Connection, caller: Caller) -> None:
    """Raises unless the caller's credential works at this moment, for good, with the same rights.

    Whom it lets in outlives it, and a gateway that remembers credentials may let one pass for
    a moment after its end: so it is looked up again. The account is to be locked, as it is for
    who takes rights away. Raises what verifying a credential does, DoesNotLast, RightsChanged.
    """
    kind, _, principal_id = caller.principal.partition(":")
    if kind == "key":
        found = key_by_prefix(connection, caller.key_prefix)
        if found is None:
            raise InvalidCredential
        if end_of_secret(*found) is not None:
            raise DoesNotLast
        return
    home = caller.acting_for or caller.account_id
    user = signed_in(connection, home, principal_id, caller.session_id)
    if user.role != caller.role:
        raise RightsChanged
    if caller.acting_for:
        require_usable(connection, caller.account_id)


def user_id_of(caller: Caller) -> str:
    """The id of a user who is at work on their own account. Raises NotAPerson."""
    kind, _, user_id = caller.principal.partition(":")
    if kind != "user" or caller.acting_for:
        raise NotAPerson
    return user_id


async def once(
    database: Database, effect: Callable[[Connection], _T], reply: Reply[_T, _M]
) -> tuple[_M, bool]:
    """The answer, and whether it was this call that had the effect: only it knows the secret."""
    had_effect = False

    def noted(connection: Connection) -> _T:
        nonlocal had_effect
        had_effect = True
        return effect(connection)

    def work(connection: Connection) -> _M:
        nonlocal had_effect
        # A transaction may run twice, and the second time find a concurrent twin's answer.
        had_effect = False
        return reply.once(connection, lambda: noted(connection))

    answer = await database.write(work)
    return answer, had_effect
