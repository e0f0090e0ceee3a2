"""One reading of the stream for all readers of this process, and who they are.

Every event goes to the readers that want it through a queue of their own; a full queue ends its
reader, not the others. What a reader gets from here on begins right after `position`, so that
replay up to there and the queue together are complete. Not kept: anything that nobody waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis import feed
from chassis.bus import Bus
from chassis.errors import Kind, Refusal
from gateway.http.errors import RETRY_AFTER
from gateway.streams.facts import Catalogue, Told
from gateway.streams.replay import Replay
from gateway.streams.rights import View

log = logging.getLogger(__name__)

QUEUE_MAX = 1_024
"""Events that may wait for one reader: several pages of the feed, because a burst is no fault of
the reader's. They are shared by all readers of the account."""
AWAY_AFTER_S = 1.0
"""A shorter absence of the event store is not worth telling anybody."""
RETRY_FIRST_S = 0.1
RETRY_MAX_S = 2.0
START_PATIENCE_S = 5.0
"""How long a reader waits for the first reading of a process that has just started."""
COME_BACK_S = 5
"""When to ask again after there was no room."""

SLOW_READER = "SLOW_READER"
SHUTTING_DOWN = "SHUTTING_DOWN"
EVENTS_LOST = "EVENTS_LOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBounds:
    """How many streams there may be at the same time."""

    streams_max: int = 2_000
    """In this process."""
    account_streams_max: int = 100
    """Of one account in this process."""


class Reader:
    """One open stream, as the hub knows it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.reason = ""
        """Why the stream shall end; empty as long as it goes on."""
        self.lost = ""
        """Why events are missing at this point, if they are."""
        self.must_ask = False
        """Something about the account was taken away: ask for the rights at once."""
        self.wake = asyncio.Event()
        self._queue: deque[Told] = deque()
        self._after: int | None = None

    def join(self, after: int) -> None:
        """From now on what comes after this sequence is queued."""
        self._after = after

    def offer(self, told: Told) -> None:
        """Queues an event that may be seen; ends a reader that does not keep up."""
        if self._after is None or told.sequence <= self._after or self.reason:
            return
        if not self.view.shows(told):
            return
        if len(self._queue) >= QUEUE_MAX:
            self._queue.clear()
            self.end(SLOW_READER)
            return
        self._queue.append(told)
        self.wake.set()

    def take(self) -> Sequence[Told]:
        """What waits, in order."""
        waiting = list(self._queue)
        self._queue.clear()
        return waiting

    def narrow(self, view: View) -> None:
        """Other rights from now on, also for what waits."""
        self.view = view
        self._queue = deque(told for told in self._queue if view.shows(told))

    def lose(self, reason: str, position: int) -> None:
        """Events are missing: the queue begins anew after `position`."""
        self._queue.clear()
        self.lost = reason
        if self._after is not None:
            self._after = position
        self.wake.set()

    def end(self, reason: str) -> None:
        """Asks the stream to end; the first reason counts."""
        self.reason = self.reason or reason
        self.wake.set()


class Hub:
    """The readers of this process, and the reading that feeds them."""

    def __init__(self, bus: Bus, catalogue: Catalogue, bounds: StreamBounds) -> None:
        self.catalogue = catalogue
        self.replay = Replay(bus)
        self.position = -1
        """Readers that have joined were offered everything up to here; -1 before the start."""
        self.away = False
        """Whether the event store has been out of reach for a while."""
        self._bus = bus
        self._bounds = bounds
        self._readers: dict[str, set[Reader]] = {}
        self._stream_created: datetime | None = None
        self._started = asyncio.Event()
        self._closing = False
        self._away_timer: asyncio.TimerHandle | None = None

    @property
    def count(self) -> int:
        """Open streams."""
        return sum(len(readers) for readers in self._readers.values())

    async def run(self) -> None:
        """Reads the stream until cancelled, anew after every failure."""
        delay_s = RETRY_FIRST_S
        while True:
            before = self.position
            try:
                await self._follow()
            except Exception as error:  # noqa: BLE001  whatever it is, reading anew is the answer
                log.warning("the events are read anew: %r", error)
            self._absent()
            if self.position != before:
                delay_s = RETRY_FIRST_S
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)

    @contextlib.contextmanager
    def admitted(self, reader: Reader) -> Iterator[None]:
        """Counts the reader while the block lasts. Raises RATE_LIMITED or UNAVAILABLE."""
        account_id = reader.view.account_id
        readers = self._readers.setdefault(account_id, set())
        try:
            if self._closing or self.count >= self._bounds.streams_max:
                raise _no_room(Kind.UNAVAILABLE, "UNAVAILABLE", "There is no room for a stream.")
            if len(readers) >= self._bounds.account_streams_max:
                raise _no_room(
                    Kind.RESOURCE_EXHAUSTED,
                    "RATE_LIMITED",
                    f"An account may hold {self._bounds.account_streams_max} streams at a time.",
                )
            readers.add(reader)
            yield
        finally:
            readers.discard(reader)
            if not readers and self._readers.get(account_id) is readers:
                del self._readers[account_id]

    async def started(self) -> None:
        """Returns when there is a position. Raises UNAVAILABLE when that takes too long."""
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                await self._started.wait()
        except TimeoutError:
            raise _no_room(Kind.UNAVAILABLE, "UNAVAILABLE", "The events are away.") from None

    def forget(self, account_id: str) -> None:
        """Something about the account was revoked: its readers are asked for their rights."""
        for reader in self._readers.get(account_id, ()):
            reader.must_ask = True
            reader.wake.set()

    def close(self) -> None:
        """Ends all streams and admits no more."""
        self._closing = True
        for reader in self._everybody():
            reader.end(SHUTTING_DOWN)

    async def _follow(self) -> None:
        extent = await feed.extent(self._bus)
        if self.position < 0:
            self.position = extent.last
        elif (
            extent.created != self._stream_created
            or extent.first > self.position + 1
            or extent.last < self.position
        ):
            self._lose(extent.last)
        self._stream_created = extent.created
        subjects = self.catalogue.subjects()
        async with feed.reading(self._bus, subjects, after=self.position) as reading:
            if not reading.pending:
                # Nothing that is shown came after the position until then.
                self.position = max(self.position, extent.last)
            self._present()
            async for entries in reading.follow():
                for stored in entries:
                    self._deliver(stored)
                # Readers take what they got before the next page is there.
                await asyncio.sleep(0)

    def _deliver(self, stored: feed.Stored) -> None:
        readers = self._readers.get(stored.subject.split(".", 2)[1])
        told = self.catalogue.told(stored) if readers else None
        if readers and told is not None:
            for reader in readers:
                reader.offer(told)
        self.position = stored.sequence

    def _lose(self, position: int) -> None:
        log.warning("the stream has lost events", extra={"position": self.position})
        self.position = position
        for reader in self._everybody():
            reader.lose(EVENTS_LOST, position)

    def _present(self) -> None:
        self._started.set()
        if self._away_timer is not None:
            self._away_timer.cancel()
            self._away_timer = None
        self._tell_away(away=False)

    def _absent(self) -> None:
        if self._away_timer is None:
            loop = asyncio.get_running_loop()
            self._away_timer = loop.call_later(AWAY_AFTER_S, lambda: self._tell_away(away=True))

    def _tell_away(self, *, away: bool) -> None:
        if self.away != away:
            self.away = away
            for reader in self._everybody():
                reader.wake.set()

    def _everybody(self) -> list[Reader]:
        return [reader for readers in self._readers.values() for reader in readers]


def _no_room(kind: Kind, reason: str, message: str) -> Refusal:
    return Refusal(kind, reason, message, metadata={RETRY_AFTER: str(COME_BACK_S)})
