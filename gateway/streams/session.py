"""One open stream: what was missed, then what happens, until there is a reason to end.

Every wait is short, so that heartbeats, the reader's rights and the end of the process are
seen in time, also while the event store is away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn, Protocol

from chassis import clock
from chassis.errors import Kind, Refusal
from chassis.feed import FEED_ERRORS
from gateway.streams import event_format
from gateway.streams.facts import Told
from gateway.streams.hub import SHUTTING_DOWN, SLOW_READER, Hub, Reader
from gateway.streams.outlet import Outlet
from gateway.streams.replay import UNKNOWN_ID, Gone, Pages
from gateway.streams.rights import Guard

REPLAY_RETRY_S = 0.5
EXPIRY_SLACK_S = 0.1
"""After the end of a credential; before it, it would still be good."""
FRAMES_MAX = 64
"""Events that are written in one go."""
CLIENT_GONE = "CLIENT_GONE"
RUN_ENDED = "RUN_ENDED"
_COME_BACK = frozenset({SHUTTING_DOWN, SLOW_READER})
_PASSING = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})
"""Refusals that say nothing about the reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a stream says and asks something by itself."""

    heartbeat_s: float = 15.0
    recheck_s: float = 5.0
    """How long a credential that was revoked in another process may go on."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a stream begins; with neither sequence nor time, now."""

    after: int | None = None
    """Told is what comes after this sequence."""
    since: datetime | None = None
    """Read is what was stored since, because the story has to know it."""
    opening: bytes = b""
    """What is said first."""
    over: bool = False
    """What was missed is told, then the stream ends."""


class Story(Protocol):
    """What a stream tells."""

    def takes(self, told: Told) -> bool:
        """Whether the event is part of it; called once for each, in order."""

    def is_last(self, told: Told) -> bool:
        """Whether nothing can follow."""

    async def state(self) -> tuple[bytes, bool]:
        """A frame that says how things stand, and whether the story is over."""


class Ended(Exception):
    """The stream ends here."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Session:
    """Runs one stream that was admitted."""

    def __init__(
        self,
        hub: Hub,
        reader: Reader,
        story: Story,
        guard: Guard,
        outlet: Outlet,
        pace: Pace,
    ) -> None:
        self._hub = hub
        self._reader = reader
        self._story = story
        self._guard = guard
        self._pace = pace
        self._outlet = outlet
        self._cursor = -1
        """The reader has been told everything up to here; -1 before that is known."""
        self._after = -1
        """What is not later than this is known to the reader already."""
        self._told_away = False
        self._recheck_due_s = 0.0

    async def run(self, beginning: Beginning) -> str:
        """Answers the request with the stream; returns the reason for its end."""
        self._plan_recheck()
        watch = asyncio.ensure_future(self._watch())
        try:
            await self._tell_all(beginning)
        except Ended as ended:
            if ended.reason != CLIENT_GONE:
                await self._outlet.close(
                    ended.reason,
                    come_back=ended.reason in _COME_BACK,
                    event_id=event_format.END_ID if ended.reason == RUN_ENDED else "",
                )
            return ended.reason
        finally:
            watch.cancel()

    async def _tell_all(self, beginning: Beginning) -> NoReturn:
        if beginning.after is not None:
            self._cursor = self._after = beginning.after
        elif beginning.since is None:
            self._cursor = self._hub.position
        await self._outlet.open(self._cursor, beginning.opening)
        if self._after > self._hub.position:
            await self._check_known()
        if beginning.since is not None:
            self._cursor = -1
            await self._read_since(beginning.since, self._hub.position)
        await self._catch_up(self._hub.position)
        if beginning.over:
            raise Ended(RUN_ENDED)
        # Nothing queued while old events were read; what came in the meantime is little.
        joined_at = self._hub.position
        self._reader.join(joined_at)
        await self._catch_up(joined_at)
        await self._live()

    async def _live(self) -> NoReturn:
        reader = self._reader
        while True:
            reader.wake.clear()
            if reader.lost:
                await self._reset(reader.lost)
            if told := reader.take():
                await self._tell(told)
            else:
                self._cursor = max(self._cursor, self._hub.position)
            await self._tick()
            due_s = min(self._outlet.written_s + self._pace.heartbeat_s, self._recheck_due_s)
            await self._wait(due_s - clock.elapsed_s())

    async def _catch_up(self, upto: int) -> None:
        """Tells what is stored between the cursor and `upto`."""
        while self._cursor < upto:
            await self._tick()
            pages = self._hub.replay.missed(self._subjects(), self._cursor, upto)
            try:
                await self._tell_pages(pages)
            except Gone as gone:
                await self._reset(gone.reason)
                return
            except FEED_ERRORS:
                await self._pause()
            else:
                self._cursor = upto

    async def _read_since(self, moment: datetime, upto: int) -> None:
        while self._cursor < 0:
            pages = self._hub.replay.since(self._subjects(), moment, upto)
            try:
                await self._tell_pages(pages)
            except FEED_ERRORS:
                # With a cursor what is left can be read by sequence.
                await self._pause()
            else:
                self._cursor = max(upto, self._after)

    async def _tell_pages(self, pages: Pages) -> None:
        async with contextlib.aclosing(pages) as open_pages:
            async for page in open_pages:
                found = [told for each in page if (told := self._hub.catalogue.told(each))]
                await self._tell([told for told in found if self._reader.view.shows(told)])
                if page:
                    self._cursor = page[-1].sequence
                await self._tick()

    async def _check_known(self) -> None:
        """A process may be a little behind the one that the reader comes from; not the stream."""
        while True:
            try:
                known = await self._hub.replay.is_known(self._cursor)
            except FEED_ERRORS:
                await self._pause()
                continue
            if not known:
                await self._reset(UNKNOWN_ID)
            return

    async def _tell(self, told: Sequence[Told]) -> None:
        for start in range(0, len(told), FRAMES_MAX):
            part = [each for each in told[start : start + FRAMES_MAX] if self._story.takes(each)]
            # What is known already was of use to the story.
            taken = [each for each in part if each.sequence > self._after]
            last = next((n for n, each in enumerate(taken, 1) if self._story.is_last(each)), None)
            if taken:
                self._cursor = taken[-1].sequence
                chunk = b"".join(each.frame for each in taken[:last])
                await self._outlet.write(chunk, self._cursor)
            if last is not None:
                raise Ended(RUN_ENDED)

    async def _reset(self, reason: str) -> None:
        self._cursor = self._after = position = self._hub.position
        # What waits is older than the state that the reader is about to read.
        self._reader.take()
        self._reader.lost = ""
        try:
            frame, over = await self._story.state()
        except Refusal as refusal:
            raise Ended(refusal.reason) from refusal
        await self._outlet.write(event_format.reset(reason, position) + frame, position)
        if over:
            raise Ended(RUN_ENDED)

    async def _tick(self) -> None:
        """What is due by itself: the end, the rights, the state of the store, a heartbeat."""
        if self._reader.reason:
            raise Ended(self._reader.reason)
        now_s = clock.elapsed_s()
        if self._reader.must_ask or now_s >= self._recheck_due_s:
            await self._recheck()
        if self._hub.away != self._told_away:
            self._told_away = self._hub.away
            name = "paused" if self._told_away else "resumed"
            await self._outlet.write(event_format.event(name, b"{}"))
        if now_s >= self._outlet.written_s + self._pace.heartbeat_s:
            await self._outlet.beat(self._cursor)

    async def _recheck(self) -> None:
        self._reader.must_ask = False
        try:
            view = await self._guard.view()
        except Refusal as refusal:
            if refusal.kind not in _PASSING:
                raise Ended(refusal.reason) from refusal
        else:
            if view != self._reader.view:
                self._reader.narrow(view)
        self._plan_recheck()

    def _plan_recheck(self) -> None:
        in_s, expire_time = self._pace.recheck_s, self._reader.view.expire_time
        if expire_time is not None:
            left_s = max((expire_time - clock.now()).total_seconds(), 0.0)
            in_s = min(in_s, left_s + EXPIRY_SLACK_S)
        self._recheck_due_s = clock.elapsed_s() + in_s

    async def _pause(self) -> None:
        """The event store is away: waits a moment, and sees to what is due."""
        await self._tick()
        self._reader.wake.clear()
        await self._wait(REPLAY_RETRY_S)
        await self._tick()

    async def _wait(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(timeout_s, 0.0)):
                await self._reader.wake.wait()

    async def _watch(self) -> None:
        await self._outlet.hung_up()
        self._reader.end(CLIENT_GONE)

    def _subjects(self) -> list[str]:
        view = self._reader.view
        return self._hub.catalogue.subjects(view.account_id, view.types)
