"""Reading the stream by stored sequence, for readers that keep their place themselves.

A reading acknowledges nothing and leaves no trace: who lost one opens another after the last
sequence that it has seen. Inside a reading nothing is missing, repeated or out of order; what
is older than the stream's bounds is gone, which `extent` tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api

from chassis.bus import API_TIMEOUT_S, BUS_ERRORS, STREAM, Bus

PAGE_MAX = 256
"""Entries that are on their way to one reading at a time."""
PAGE_EXPIRY_S = 1.0
"""How long a page waits for entries that were counted but are gone."""
FOLLOW_EXPIRY_S = 30.0
HEARTBEAT_S = 2.0
SILENCE_S = 5.0
"""Two missed heartbeats and some delay."""
FORGOTTEN_S = 60.0
"""After this silence NATS drops a reading whose process has died."""
CLOSE_TIMEOUT_S = 2.0
FEED_ERRORS = BUS_ERRORS
"""What a reading raises when it cannot go on; ConnectionError is one of them."""

_HEARTBEAT, _EXPIRED = "100", "408"
_DELIVERY = "$JS.ACK."


@dataclass(frozen=True, slots=True)
class Stored:
    """One event as the stream keeps it."""

    sequence: int
    subject: str
    headers: Mapping[str, str]
    """Names in lower case, values decoded."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Extent:
    """What the stream has: everything from `first` to `last`; nothing when `first` is larger."""

    first: int
    last: int
    created: datetime | None
    """When the stream was made: another one begins to count anew."""


async def extent(bus: Bus) -> Extent:
    """The oldest and the newest sequence at this moment. Raises one of FEED_ERRORS."""
    async with asyncio.timeout(API_TIMEOUT_S):
        client = await bus.ready()
        info = await client.jetstream(timeout=API_TIMEOUT_S).stream_info(STREAM)
    return Extent(max(info.state.first_seq, 1), info.state.last_seq, info.created)


class Reading:
    """Entries of some subjects, from one place in the stream on; made by `reading`."""

    def __init__(self, client: Client) -> None:
        self.pending = 0
        """Entries that are stored and not read yet, as NATS said last."""
        self.inbox = client.new_inbox()
        self.arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        """Bounded by what is asked for; None says that the connection has changed."""
        self._client = client
        self._subject = ""
        self._read = 0

    def begin(self, consumer: api.ConsumerInfo) -> None:
        """Takes up a consumer that was made for this reading."""
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{consumer.name}"
        self.pending = consumer.num_pending or 0

    async def page(self) -> list[Stored]:
        """The next of what is stored, at most PAGE_MAX; empty when there is no more.

        Raises one of FEED_ERRORS.
        """
        wanted = min(self.pending, PAGE_MAX)
        found: list[Stored] = []
        if wanted:
            await self._ask(wanted, PAGE_EXPIRY_S)
        while len(found) < wanted:
            entries, over = await self._arrivals()
            found += entries
            if over:
                break
        return found

    async def follow(self) -> AsyncIterator[list[Stored]]:
        """What is stored and what will be, until it raises one of FEED_ERRORS.

        What has arrived together comes together.
        """
        while True:
            await self._ask(PAGE_MAX, FOLLOW_EXPIRY_S, HEARTBEAT_S)
            left, over = PAGE_MAX, False
            while left and not over:
                entries, over = await self._arrivals()
                left -= len(entries)
                if entries:
                    yield entries

    async def _ask(self, wanted: int, expiry_s: float, heartbeat_s: float = 0.0) -> None:
        request = {"batch": wanted, "expires": int(expiry_s * 1e9)}
        if heartbeat_s:
            request["idle_heartbeat"] = int(heartbeat_s * 1e9)
        await self._client.publish(self._subject, json.dumps(request).encode(), reply=self.inbox)

    async def _arrivals(self) -> tuple[list[Stored], bool]:
        """What is there, after waiting for something; and whether the request is over."""
        async with asyncio.timeout(SILENCE_S):
            msg = await self.arrived.get()
        entries: list[Stored] = []
        while True:
            if msg is None:
                raise ConnectionError("the connection has changed")
            if msg.reply.startswith(_DELIVERY):
                entries.append(self._stored(msg))
            elif (status := (msg.headers or {}).get("Status", "")) == _EXPIRED:
                return entries, True
            elif status != _HEARTBEAT:
                raise ConnectionError(f"NATS says {status}")
            if self.arrived.empty():
                return entries, False
            msg = self.arrived.get_nowait()

    def _stored(self, msg: Msg) -> Stored:
        place = msg.metadata
        self._read += 1
        if place.sequence.consumer != self._read:
            raise ConnectionError("an entry was lost on its way")
        self.pending = place.num_pending
        headers = {key.lower(): unquote(value) for key, value in (msg.headers or {}).items()}
        return Stored(place.sequence.stream, msg.subject, headers, msg.data)


@asynccontextmanager
async def reading(
    bus: Bus, subjects: Sequence[str], *, after: int = 0, since: datetime | None = None
) -> AsyncIterator[Reading]:
    """Reads `subjects` from the sequence that follows `after`, or from a time on.

    Raises one of FEED_ERRORS, here and while it is read.
    """
    config = api.ConsumerConfig(
        filter_subjects=list(subjects),
        ack_policy=api.AckPolicy.NONE,
        inactive_threshold=FORGOTTEN_S,
        mem_storage=True,
        num_replicas=1,
    )
    if since is not None:
        config = config.evolve(deliver_policy=api.DeliverPolicy.BY_START_TIME, opt_start_time=since)
    else:
        config = config.evolve(
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1
        )
    async with asyncio.timeout(API_TIMEOUT_S):
        client = await bus.ready()
    stream = client.jetstream(timeout=API_TIMEOUT_S)
    begun = Reading(client)
    forget = bus.on_change(lambda: begun.arrived.put_nowait(None))
    subscription = await client.subscribe(begun.inbox, cb=begun.arrived.put)
    consumer: api.ConsumerInfo | None = None
    try:
        consumer = await stream.add_consumer(STREAM, config=config)
        begun.begin(consumer)
        yield begun
    finally:
        forget()
        # A goodbye only: NATS forgets by itself who is silent.
        with contextlib.suppress(*BUS_ERRORS):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await subscription.unsubscribe()
                if consumer is not None:
                    await stream.delete_consumer(STREAM, consumer.name)
