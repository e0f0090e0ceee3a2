"""The connection to NATS, the stream, and confirmed publication.

A connection that was lost is replaced by a new one, for as long as the bus is open; who
uses it is told when it comes and goes. What was sent but not confirmed may have arrived
or not: the sender sends it again and the stream drops the repetition.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext, api

from chassis.errors import Unavailable
from chassis.waiting import outcome

log = logging.getLogger(__name__)

STREAM = "WRITER"
STREAM_SUBJECTS = "writer.>"
STREAM_AGE_S = 7 * 24 * 3600.0
"""How long an event can be heard or replayed; the stream has no other bound than its server's."""
DUPLICATE_WINDOW_S = 120.0
"""How long the stream remembers ids; later repetitions are the inbox's business."""
CONNECT_TIMEOUT_S = 3
OPEN_TIMEOUT_S = 30.0
API_TIMEOUT_S = 5.0
PUBLISH_TIMEOUT_S = 3.0
SEND_PATIENCE_S = 30.0
"""How long an acknowledgement waits for a lost connection to come back."""
FLUSH_TIMEOUT_S = 2
PING_INTERVAL_S = 5
RECONNECT_FIRST_S = 0.1
RECONNECT_MAX_S = 2.0
LOOK_S = 1.0
"""How often the connection is looked at, in case that nobody tells of its end."""
# Whatever can go wrong between us and NATS, as the client raises it.
BUS_ERRORS = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Publication:
    """One event on its way to the stream; its `Nats-Msg-Id` makes repeating it harmless."""

    subject: str
    payload: bytes
    headers: dict[str, str]


class Bus:
    """NATS for one process. `url` may name several servers, separated by commas."""

    def __init__(self, url: str, name: str) -> None:
        self._servers = [part.strip() for part in url.split(",") if part.strip()]
        self._name = name
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None
        self._up = asyncio.Event()
        self._closed = False
        self._keeper: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []

    async def open(self, timeout_s: float = OPEN_TIMEOUT_S) -> None:
        """Connects and makes sure of the stream. Raises Unavailable when that takes too long."""
        self._keeper = asyncio.create_task(self._keep_connected(), name="bus")
        try:
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        except TimeoutError:
            await self.close()
            raise Unavailable("NATS does not answer.") from None

    async def close(self) -> None:
        """Sends what is buffered and ends the connection for good."""
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        client, self._client, self._stream = self._client, None, None
        self._up.clear()
        if client is not None:
            await _end(client)

    @property
    def connected(self) -> bool:
        """True while there is a connection that is believed to work."""
        return self._up.is_set()

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` whenever the connection has come or gone, until the answer is called."""
        self._listeners.append(callback)
        return partial(self._listeners.remove, callback)

    async def ready(self) -> Client:
        """The connection, as soon as there is one; the caller bounds the wait.

        Raises ConnectionError when the bus is closed.
        """
        while self._client is None:
            if self._closed:
                raise ConnectionError("the bus is closed")
            await self._up.wait()
        return self._client

    async def send(self, subject: str, payload: bytes) -> None:
        """Sends without confirmation, as acknowledgements are. Raises one of BUS_ERRORS."""
        async with asyncio.timeout(SEND_PATIENCE_S):
            client = await self.ready()
        await client.publish(subject, payload)

    async def publish(self, batch: Sequence[Publication]) -> list[bool]:
        """Sends all in order without waiting between them; true where the stream has confirmed."""
        stream = self._stream
        if stream is None or not batch:
            return [False] * len(batch)
        futures: list[asyncio.Future[api.PubAck] | None] = []
        for event in batch:
            try:
                future = await stream.publish_async(
                    event.subject, event.payload, stream=STREAM, headers=dict(event.headers)
                )
            except BUS_ERRORS as error:
                log.warning("an event on %s could not be sent: %r", event.subject, error)
                futures.append(None)
            else:
                futures.append(future)
        sent = [future for future in futures if future is not None]
        try:
            if sent:
                await asyncio.wait(sent, timeout=PUBLISH_TIMEOUT_S)
        finally:
            # The client keeps unanswered publications for ever unless they are cancelled.
            for future in sent:
                future.cancel()
        return [future is not None and _confirmed(future) for future in futures]

    async def ensure_stream(self) -> None:
        """Creates the stream where it is missing; one that is there is left as it is."""
        client = await self.ready()
        await _ensure_stream(client.jetstream(timeout=API_TIMEOUT_S))

    async def ensure_consumer(self, config: api.ConsumerConfig) -> None:
        """Creates the durable consumer, or brings an existing one to this configuration."""
        client = await self.ready()
        await client.jetstream(timeout=API_TIMEOUT_S).add_consumer(STREAM, config=config)

    async def _keep_connected(self) -> None:
        delay_s = RECONNECT_FIRST_S
        while True:
            lost = asyncio.Event()
            try:
                client = await self._connect(lost)
            except Exception as error:  # noqa: BLE001  whatever it is, trying again is the answer
                log.warning("no connection to NATS: %r", error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RECONNECT_MAX_S)
                continue
            delay_s = RECONNECT_FIRST_S
            self._client, self._stream = client, client.jetstream(timeout=API_TIMEOUT_S)
            self._up.set()
            self._tell()
            log.info("connected to NATS")
            await _loss(client, lost)
            log.warning("the connection to NATS was lost")
            self._up.clear()
            self._client = self._stream = None
            self._tell()

    async def _connect(self, lost: asyncio.Event) -> Client:
        client = Client()

        async def note_loss() -> None:
            lost.set()

        async def note_error(error: Exception) -> None:
            log.info("NATS: %r", error)

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S + API_TIMEOUT_S):
                # The client's own reconnecting gives up for good on some errors; ours does not.
                await client.connect(
                    self._servers,
                    name=self._name,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_TIMEOUT_S,
                    ping_interval=PING_INTERVAL_S,
                    closed_cb=note_loss,
                    error_cb=note_error,
                )
                await _ensure_stream(client.jetstream(timeout=API_TIMEOUT_S))
        except BaseException:
            await _end(client)
            raise
        return client

    def _tell(self) -> None:
        for callback in list(self._listeners):
            callback()


async def _loss(client: Client, told: asyncio.Event) -> None:
    """Until the connection is gone.

    The client tells, but not always: when it ends with data that can no longer be sent, an
    error keeps it from calling back.
    """
    while not told.is_set() and client.is_connected:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await told.wait()


async def _ensure_stream(stream: JetStreamContext) -> None:
    try:
        await stream.stream_info(STREAM)
    except nats.js.errors.NotFoundError:
        await stream.add_stream(
            name=STREAM,
            subjects=[STREAM_SUBJECTS],
            retention=api.RetentionPolicy.LIMITS,
            storage=api.StorageType.FILE,
            max_age=STREAM_AGE_S,
            duplicate_window=DUPLICATE_WINDOW_S,
        )


async def _end(client: Client) -> None:
    """Whole, even when the bus is closed meanwhile: ended by half, a client keeps its socket."""
    ending = asyncio.create_task(_flush_and_close(client))
    try:
        await outcome(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _flush_and_close(client: Client) -> None:
    with contextlib.suppress(*BUS_ERRORS):
        if client.is_connected:
            await client.flush(FLUSH_TIMEOUT_S)
    with contextlib.suppress(*BUS_ERRORS):
        await client.close()


def _confirmed(future: asyncio.Future[api.PubAck]) -> bool:
    if future.cancelled():
        return False
    error = future.exception()
    if error is not None:
        log.warning("an event was not stored: %r", error)
    return error is None
