"""What the parts of the matrix share: many calls at once, and faults told by name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from trust.contract import Method

from chassis import ids

AT_ONCE = 8
"""Calls on their way; more would only wait."""
UNKNOWN = {
    "actor": lambda: f"user:{ids.new_id()}",
    "reservation": lambda: f"generation/{ids.new_id()}",
    "etag": lambda: "999.abcdef",
}
"""What nobody has, where it is no id."""

C = TypeVar("C")


async def faults_of(
    cases: Iterable[C], find: Callable[[C], Awaitable[list[str]]], name: Callable[[C], str] = str
) -> list[str]:
    """What is wrong with any of the cases, each named."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(case: C) -> list[str]:
        async with room:
            return [f"{name(case)}: {fault}" for fault in await find(case)]

    found = await asyncio.gather(*(one(case) for case in cases))
    return [fault for faults in found for fault in faults]


def require_none(*faults: list[str]) -> None:
    """Fails with every fault on a line of its own."""
    lines = [line for group in faults for line in group]
    assert not lines, "\n".join(["", *lines])


def unknown_of(kind: str) -> str:
    """What nobody has, of a kind."""
    return UNKNOWN.get(kind, ids.new_id)()


def of_nobody(method: Method) -> dict[str, str]:
    """Values by kind for a request of this method, that lead to nothing."""
    return {slot.kind: unknown_of(slot.kind) for slot in method.naming()}


def of_tenant(tenant, method: Method) -> dict[str, str]:
    """Values by kind for a request of this method about one's own things."""
    service = str(method).partition(".")[0]
    own = {"page_token": tenant.page_tokens.get(str(method)), "etag": tenant.etags.get(service)}
    # Its own id each time, so that no call is the repetition of another one.
    return tenant.things | own | {"request": ids.new_id()}
