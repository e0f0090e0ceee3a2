"""How the books name whoever caused something."""

from __future__ import annotations

from chassis.caller import Caller
from services.billing.domain import ACTOR_CHARS


def actor_of(caller: Caller) -> str:
    """The principal, and the own account of an operator at work on another."""
    acting = f"@{caller.acting_for}" if caller.acting_for else ""
    return f"{caller.principal}{acting}"[:ACTOR_CHARS]
