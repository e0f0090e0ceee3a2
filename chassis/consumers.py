"""The only way in for events: durable consumers, acknowledged after the effect is committed.

Every event is delivered at least once and in no promised order. Nothing is dropped: what
fails too often becomes a dead letter first, and stays in NATS while that cannot be stored.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message
from nats.aio.msg import Msg
from sqlalchemy import Connection

from chassis import clock, dead_letters, inbox, interceptors
from chassis.bus import BUS_ERRORS, Bus
from chassis.database import Database
from chassis.events import UnreadableEventError, durable_name, envelope_of
from chassis.pull import Pull

log = logging.getLogger(__name__)

BACKOFF_S = (0.5, 2.0, 10.0, 60.0, 300.0)
"""Pause after the first, second, … failure; the last one from then on."""
JITTER = 0.2
HANDLE_TIMEOUT_S = 900.0
"""A handler that takes longer counts as failed; heartbeats would keep its delivery for ever."""
STOP_GRACE_S = 10.0
CANCEL_TIMEOUT_S = 2.0
"""For handing back; a handler that clings on longer is left to the end of the process."""

ACK, TERMINATE, IN_PROGRESS, AT_ONCE = b"+ACK", b"+TERM", b"+WPI", b"-NAK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event, delivered for the `attempt`-th time; `message` has the subscription's type."""

    event_id: str
    message: Any
    attempt: int
    consumer: str
    request_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who handles an event, how many at once, and what ends its domain object when all failed.

    `handle` may see an event again whose effect is committed: it asks the inbox first.
    `give_up` gets the delivery and a reason; it, too, may be called again after a crash.
    """

    message_type: type[Message]
    handle: Callable[[Delivery], Awaitable[None]]
    concurrency: int = 8
    give_up: Callable[[Delivery, str], Awaitable[None]] | None = None


class Consumers:
    """Runs the subscriptions of one service; several processes share the work."""

    def __init__(
        self,
        service: str,
        bus: Bus,
        database: Database,
        subscriptions: Sequence[Subscription],
        *,
        ack_wait_s: float = 30.0,
        deliveries_max: int = 6,
        backoff_s: Sequence[float] = BACKOFF_S,
    ) -> None:
        names = [durable_name(service, each.message_type) for each in subscriptions]
        if len(set(names)) < len(names):
            raise ValueError(f"two subscriptions of {service} hear the same event")
        self._bus = bus
        self._database = database
        self._ack_wait_s = ack_wait_s
        self._deliveries_max = deliveries_max
        self._backoff_s = backoff_s
        self._trial = asyncio.Lock()
        self._pulls = [
            Pull(
                bus, name, each.message_type, each.concurrency, ack_wait_s, self._taker(each, name)
            )
            for name, each in zip(names, subscriptions, strict=True)
        ]
        self._heartbeat: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to consume; works as soon as NATS does."""
        for pull in self._pulls:
            pull.start()
        self._heartbeat = asyncio.create_task(self._keep_alive(), name="heartbeats")

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Takes no more, waits for running handlers, then hands back what has not ended."""
        if self._heartbeat is None:
            return
        await asyncio.gather(*(pull.stop() for pull in self._pulls))
        running = {task for pull in self._pulls for task in pull.running}
        late = (await asyncio.wait(running, timeout=grace_s))[1] if running else set()
        for task in late:
            task.cancel()
        self._heartbeat.cancel()
        await asyncio.wait({self._heartbeat, *late}, timeout=CANCEL_TIMEOUT_S)

    def heartbeat_ages(self) -> dict[str, float]:
        """Seconds since each consumer heard from NATS, or was seen at work."""
        return {pull.name: pull.heartbeat_age_s for pull in self._pulls}

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)
            for msg in [msg for pull in self._pulls for msg in pull.running.values()]:
                if self._bus.connected:
                    await self._answer(msg, IN_PROGRESS)

    def _taker(self, subscription: Subscription, consumer: str) -> Callable[[Msg], Awaitable[None]]:
        async def take(msg: Msg) -> None:
            try:
                answer = await self._outcome(subscription, consumer, msg)
            except asyncio.CancelledError:
                await self._answer(msg, AT_ONCE)
                raise
            await self._answer(msg, answer)

        return take

    async def _outcome(self, subscription: Subscription, consumer: str, msg: Msg) -> bytes:
        """Handles one delivery and says what NATS shall do with it."""
        if (msg.headers or {}).get(dead_letters.ADDRESSEE, consumer) != consumer:
            return ACK
        attempt = msg.metadata.num_delivered
        try:
            envelope = envelope_of(msg.headers, subscription.message_type)
            message = subscription.message_type.FromString(msg.data)
        except (UnreadableEventError, DecodeError) as error:
            return await self._give_up(None, None, consumer, msg, f"cannot be read: {error}")
        interceptors.request_id.set(envelope.request_id)
        interceptors.traceparent.set(envelope.traceparent)
        delivery = Delivery(
            event_id=envelope.event_id,
            message=message,
            attempt=attempt,
            consumer=consumer,
            request_id=envelope.request_id,
            traceparent=envelope.traceparent,
        )
        if attempt > self._deliveries_max:
            return await self._try_alone(subscription, delivery, consumer, msg)
        return await self._handled(subscription, delivery, consumer, msg)

    async def _handled(
        self, subscription: Subscription, delivery: Delivery, consumer: str, msg: Msg
    ) -> bytes:
        started_s = clock.elapsed_s()
        try:
            async with asyncio.timeout(HANDLE_TIMEOUT_S):
                await subscription.handle(delivery)
        except Exception as error:
            attempt = delivery.attempt
            log.exception("%s failed on delivery %d of %s", consumer, attempt, delivery.event_id)
            if attempt < self._deliveries_max:
                return self._later(attempt)
            reason = f"{type(error).__name__}: {error}"
            return await self._give_up(subscription, delivery, consumer, msg, reason)
        log.info(
            "event",
            extra={
                "consumer": consumer,
                "event_id": delivery.event_id,
                "attempt": delivery.attempt,
                "duration_ms": round((clock.elapsed_s() - started_s) * 1000, 1),
            },
        )
        return ACK

    async def _try_alone(
        self, subscription: Subscription, delivery: Delivery, consumer: str, msg: Msg
    ) -> bytes:
        """Handles once more what processes have died on, and gives it up when it dies of that.

        Whatever a process had in hand when it died was delivered as often as what killed it.
        Tried one at a time, and noted beforehand, the innocent end well and the culprit shows.
        """
        mark, event_id = f"{consumer}.alone", delivery.event_id
        async with self._trial:
            died_alone = not await self._database.write(
                lambda c: inbox.first_time(c, mark, event_id)
            )
            try:
                if died_alone:
                    reason = f"not finished in {delivery.attempt - 1} deliveries"
                    return await self._give_up(subscription, delivery, consumer, msg, reason)
                return await self._handled(subscription, delivery, consumer, msg)
            finally:
                # Only a death leaves the note behind; being told to stop is nobody's fault.
                await self._database.write(lambda c: inbox.erase(c, mark, event_id))

    async def _give_up(
        self,
        subscription: Subscription | None,
        delivery: Delivery | None,
        consumer: str,
        msg: Msg,
        reason: str,
    ) -> bytes:
        """Ends the domain object, then keeps the letter; what fails here is tried again later."""
        event_id = delivery.event_id if delivery else (msg.headers or {}).get("ce-id", "")
        attempt = msg.metadata.num_delivered
        headers = dict(msg.headers or {})
        if subscription is not None and subscription.give_up is not None:
            headers[dead_letters.ENDED] = "1"

        def store(connection: Connection) -> None:
            dead_letters.store(
                connection,
                consumer=consumer,
                stream_sequence=msg.metadata.sequence.stream,
                event_id=event_id,
                subject=msg.subject,
                payload=msg.data,
                headers=headers,
                reason=reason,
                attempts=attempt,
            )

        try:
            if delivery and subscription and subscription.give_up:
                async with asyncio.timeout(HANDLE_TIMEOUT_S):
                    await subscription.give_up(delivery, reason)
            await self._database.write(store)
        except Exception:
            log.exception("%s could not give up %s; it stays in NATS", consumer, event_id)
            return self._later(attempt)
        log.error("%s gave up %s: %s", consumer, event_id, reason)
        return TERMINATE

    def _later(self, attempt: int) -> bytes:
        pause_s = self._backoff_s[min(attempt, len(self._backoff_s)) - 1]
        pause_s *= random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  jitter
        return AT_ONCE + b' {"delay": %d}' % int(pause_s * 1e9)

    async def _answer(self, msg: Msg, answer: bytes) -> None:
        try:
            await self._bus.send(msg.reply, answer)
        except BUS_ERRORS as error:
            # NATS delivers again after the ack wait, and the inbox knows what was done.
            log.warning("an answer to NATS was lost: %r", error)
