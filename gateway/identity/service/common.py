"""What several use cases ask of a caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import Forbidden
from chassis.replies import Reply
from gateway.identity.domain import RANKS, Role, rank_within
from gateway.identity.errors import NotAPerson, RoleTooHigh

_T = TypeVar("_T")
_M = TypeVar("_M", bound=Message)
OnChange = Callable[[str], None]
"""Is told the id of an account after a commit that takes something away from its people."""


def require_rank(caller: Caller, *roles: Role) -> None:
    """Raises RoleTooHigh when one of the roles stands above the caller."""
    rank = rank_within(caller.role, acting=bool(caller.acting_for))
    if any(RANKS[role] > rank for role in roles):
        raise RoleTooHigh


def require_lasting(caller: Caller) -> None:
    """Raises Forbidden for a key that ends, or a former secret: who it lets in would stay."""
    if caller.key_ends:
        text = "A key that ends, or a former secret, lets no key and nobody in: they would stay."
        raise Forbidden("ROLE_FORBIDDEN", text)


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
