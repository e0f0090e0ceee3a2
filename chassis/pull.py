"""Fetches deliveries of one durable consumer, never more than there are free hands.

Any silence or error ends in binding anew: the consumer is created where it is missing
and asked again, so that it survives restarts of NATS and its own deletion.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from google.protobuf.message import Message
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import api

from chassis import clock
from chassis.bus import BUS_ERRORS, STREAM, Bus
from chassis.events import subject_filter

log = logging.getLogger(__name__)

EXPIRY_S = 30.0
"""Life of one request for deliveries."""
HEARTBEAT_S = 2.0
SILENCE_S = 5.0
"""Two missed heartbeats and some delay."""
REBIND_FIRST_S = 0.1
REBIND_MAX_S = 5.0
STOP_TIMEOUT_S = 3.0
ACK_PENDING_MAX = 1_000
"""Deliveries that may wait for an answer, over all processes; those that failed wait here, too."""

_HEARTBEAT, _NOTHING, _EXPIRED = "100", "404", "408"


class Pull:
    """Keeps up to `concurrency` calls of `take` running; `take` answers to NATS by itself."""

    def __init__(
        self,
        bus: Bus,
        name: str,
        message_type: type[Message],
        concurrency: int,
        ack_wait_s: float,
        take: Callable[[Msg], Awaitable[None]],
    ) -> None:
        self.name = name
        self.running: dict[asyncio.Task[None], Msg] = {}
        self._bus = bus
        self._concurrency = concurrency
        self._take = take
        self._config = api.ConsumerConfig(
            name=name,
            durable_name=name,
            filter_subject=subject_filter(message_type),
            ack_policy=api.AckPolicy.EXPLICIT,
            deliver_policy=api.DeliverPolicy.ALL,
            ack_wait=ack_wait_s,
            # Unlimited: past its own limit NATS would drop the event without a trace.
            max_deliver=-1,
            max_ack_pending=ACK_PENDING_MAX,
        )
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._heard_s = clock.elapsed_s()
        self._loop: asyncio.Task[None] | None = None
        bus.on_change(lambda: self._arrived.put_nowait(None))

    @property
    def heartbeat_age_s(self) -> float:
        """Seconds since NATS was heard, or since all hands were seen busy."""
        return clock.elapsed_s() - self._heard_s

    def start(self) -> None:
        """Begins to fetch in the background."""
        self._loop = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Ends fetching and hands back what had arrived; running calls go on."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait({self._loop})

    async def _run(self) -> None:
        delay_s = REBIND_FIRST_S
        while True:
            bound_s = clock.elapsed_s()
            try:
                await self._bind_and_fetch(await self._bus.ready())
            except Exception as error:  # noqa: BLE001  whatever it is, binding anew is the answer
                log.warning("%s binds anew: %r", self.name, error)
            if clock.elapsed_s() - bound_s > REBIND_MAX_S:
                delay_s = REBIND_FIRST_S
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, REBIND_MAX_S)

    async def _bind_and_fetch(self, client: Client) -> None:
        await self._bus.ensure_stream()
        await self._bus.ensure_consumer(self._config)
        self._arrived = asyncio.Queue()
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=self._arrived.put)
        try:
            while True:
                while len(self.running) >= self._concurrency:
                    await asyncio.wait(
                        self.running, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
                    )
                    self._heard_s = clock.elapsed_s()
                await self._fetch(client, inbox, self._concurrency - len(self.running))
        finally:
            await self._hand_back(subscription)

    async def _fetch(self, client: Client, inbox: str, wanted: int) -> None:
        """One request, until it is filled or over. Raises ConnectionError for anything unusual."""
        request = {
            "batch": wanted,
            "expires": int(EXPIRY_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self.name}"
        await client.publish(subject, json.dumps(request).encode(), reply=inbox)
        while wanted:
            # Not wait_for: on Python 3.11 it may swallow a cancellation or lose what arrived.
            async with asyncio.timeout(SILENCE_S):
                msg = await self._arrived.get()
            if msg is None:
                raise ConnectionError("the connection has changed")
            self._heard_s = clock.elapsed_s()
            if _is_delivery(msg):
                self._begin(msg)
                wanted -= 1
                continue
            status = (msg.headers or {}).get("Status", "")
            if status in (_NOTHING, _EXPIRED):
                return
            if status != _HEARTBEAT:
                raise ConnectionError(
                    f"NATS says {status} {(msg.headers or {}).get('Description')}"
                )

    def _begin(self, msg: Msg) -> None:
        task = asyncio.ensure_future(self._take(msg))
        self.running[task] = msg
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self.running[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: a delivery has ended in an error", self.name, exc_info=error)

    async def _hand_back(self, subscription: Subscription) -> None:
        """Unsubscribes, and returns at once what had been sent to us but not begun."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await subscription.drain()  # type: ignore[no-untyped-call]
                while not self._arrived.empty():
                    msg = self._arrived.get_nowait()
                    if msg is not None and _is_delivery(msg):
                        await self._bus.send(msg.reply, b"-NAK")
        except BUS_ERRORS as error:
            log.info("%s could not unsubscribe: %r", self.name, error)


def _is_delivery(msg: Msg) -> bool:
    return msg.reply.startswith("$JS.ACK.")
