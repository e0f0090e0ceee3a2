"""What a returning reader has missed, read from the stream in pages.

Complete or not at all: events that the stream has dropped in between end it with `Gone`. When
a whole process's readers return together they take turns, page by page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime

from chassis import feed
from chassis.bus import Bus
from chassis.feed import Stored

MISSED_MAX = 20_000
"""Who has missed more of his account is quicker by reading its state anew."""
TURNS_MAX = 16
"""Pages that are read at the same time."""
TOO_OLD = "TOO_OLD"
TOO_MANY = "TOO_MANY"
UNKNOWN_ID = "UNKNOWN_ID"

Pages = AsyncGenerator[list[Stored], None]


class Gone(Exception):
    """The reader cannot be given everything that he has missed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Replay:
    """Reads what is stored. All methods raise FEED_ERRORS when the stream is out of reach."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._turns = asyncio.Semaphore(TURNS_MAX)

    async def missed(self, subjects: Sequence[str], after: int, upto: int) -> Pages:
        """Everything after one sequence, up to and with another. Raises Gone."""
        async with AsyncExitStack() as stack:
            async with self._turns:
                opening = feed.reading(self._bus, subjects, after=after)
                reading = await stack.enter_async_context(opening)
            if reading.pending > MISSED_MAX:
                raise Gone(TOO_MANY)
            while True:
                async with self._turns:
                    page = await reading.page()
                    # Asked after the page: what it holds was there, and nothing went before it.
                    first = (await feed.extent(self._bus)).first
                if first > after + 1:
                    raise Gone(TOO_OLD)
                yield [stored for stored in page if stored.sequence <= upto]
                if not page or page[-1].sequence >= upto:
                    return
                after = page[-1].sequence

    async def since(self, subjects: Sequence[str], moment: datetime, upto: int) -> Pages:
        """Everything that is still there from a time on, up to and with a sequence."""
        async with AsyncExitStack() as stack:
            async with self._turns:
                opening = feed.reading(self._bus, subjects, since=moment)
                reading = await stack.enter_async_context(opening)
            while True:
                async with self._turns:
                    page = await reading.page()
                yield [stored for stored in page if stored.sequence <= upto]
                if not page or page[-1].sequence >= upto:
                    return

    async def is_known(self, sequence: int) -> bool:
        """Whether the stream has come to this sequence."""
        return sequence <= (await feed.extent(self._bus)).last
