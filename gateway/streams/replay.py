"""What a returning reader has missed, read from the stream in pages.

Complete or not at all: events that the stream has dropped in between end it with `Gone`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

from chassis import feed
from chassis.bus import Bus
from chassis.feed import Stored

MISSED_MAX = 20_000
"""Who has missed more of his account is quicker by reading its state anew."""
TOO_OLD = "TOO_OLD"
TOO_MANY = "TOO_MANY"
UNKNOWN_ID = "UNKNOWN_ID"


class Gone(Exception):
    """The reader cannot be given everything that he has missed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def missed(
    bus: Bus, subjects: Sequence[str], after: int, upto: int
) -> AsyncGenerator[list[Stored], None]:
    """Everything after one sequence, up to and with another. Raises Gone or FEED_ERRORS."""
    async with feed.reading(bus, subjects, after=after) as reading:
        if reading.pending > MISSED_MAX:
            raise Gone(TOO_MANY)
        while True:
            page = await reading.page()
            # Asked after the page: what it holds was there, and nothing went before it.
            if (await feed.extent(bus)).first > after + 1:
                raise Gone(TOO_OLD)
            yield [stored for stored in page if stored.sequence <= upto]
            if not page or page[-1].sequence >= upto:
                return
            after = page[-1].sequence


async def since(
    bus: Bus, subjects: Sequence[str], moment: datetime, upto: int
) -> AsyncGenerator[list[Stored], None]:
    """Everything that is still there from a time on. Raises FEED_ERRORS."""
    async with feed.reading(bus, subjects, since=moment) as reading:
        while page := await reading.page():
            yield [stored for stored in page if stored.sequence <= upto]
            if page[-1].sequence >= upto:
                return


async def is_known(bus: Bus, sequence: int) -> bool:
    """Whether the stream has come to this sequence. Raises FEED_ERRORS."""
    return sequence <= (await feed.extent(bus)).last
