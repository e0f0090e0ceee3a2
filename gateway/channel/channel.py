"""The way to one service: a connection that is made when it is needed, and calls on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator

from grpc import StatusCode

from chassis import clock
from gateway.channel import headers
from gateway.channel.calls import (
    UNSEEN,
    CallFailed,
    StreamingCall,
    UnaryCall,
    unavailable,
)
from gateway.channel.connection import Connection
from gateway.channel.headers import Metadata, Status

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 3.0
AWAY_FIRST_S = 0.1
AWAY_MAX_S = 1.0
"""A service that could not be reached is left alone for so long; calls fail at once meanwhile."""
ATTEMPTS_MAX = 3
RETRY_FIRST_S = 0.05
RETRY_MAX_S = 0.5
AGENT = "writer-gateway"


class Channel:
    """Calls to the service at `host:port`. Calls share one connection."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._away_until_s = 0.0
        self._away_s = AWAY_FIRST_S
        self._is_closed = False

    def method(self, path: str, *, is_read: bool) -> Method:
        """An RPC by its path, `/package.Service/Method`."""
        head = headers.request_head(path, self._address, AGENT)
        return Method(self, head, is_read=is_read)

    def usable(self) -> Connection | None:
        """The connection, if a call can be started on it right now."""
        connection = self._connection
        return None if connection is None or connection.is_full else connection

    async def connected(self) -> Connection:
        """A connection that takes a call; the caller bounds the wait. Raises CallFailed."""
        while True:
            connection = self._connection or await self._connect()
            if not connection.is_full:
                return connection
            await connection.room()

    async def close(self) -> None:
        """Ends all calls."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._connection is not None:
            self._connection.close()

    async def _connect(self) -> Connection:
        if self._is_closed:
            raise unavailable("The channel was closed.", is_unseen=True)
        if self._connecting is None:
            if clock.elapsed_s() < self._away_until_s:
                raise unavailable("The service was not reached a moment ago.", is_unseen=True)
            self._connecting = asyncio.create_task(self._attempt(), name=f"to {self._address}")
            self._connecting.add_done_callback(_note_end)
        # Shielded: others wait for the same attempt.
        return await asyncio.shield(self._connecting)

    async def _attempt(self) -> Connection:
        connection: Connection | None = None
        try:
            host, _, port = self._address.rpartition(":")
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self._lost), host.strip("[]"), int(port)
                )
                await connection.greeted
        except (OSError, TimeoutError) as error:
            log.info("no connection to %s: %r", self._address, error)
            if connection is not None:
                connection.close()
            self._away_until_s = clock.elapsed_s() + self._away_s
            self._away_s = min(self._away_s * 2, AWAY_MAX_S)
            raise unavailable(f"The service cannot be reached: {error}.", is_unseen=True) from error
        finally:
            self._connecting = None
        self._away_s = AWAY_FIRST_S
        if connection.is_usable:
            self._connection = connection
        return connection

    def _lost(self) -> None:
        self._connection = None


def _note_end(attempt: asyncio.Task[Connection]) -> None:
    # Whoever waited may have given up; an exception that nobody fetches is a warning.
    if not attempt.cancelled():
        attempt.exception()


class Method:
    """One RPC of a service, called with serialized requests."""

    def __init__(self, channel: Channel, head: bytes, *, is_read: bool) -> None:
        self._channel = channel
        self._head = head
        self._is_read = is_read

    async def __call__(self, request: bytes, metadata: Metadata, timeout_s: float) -> bytes:
        """The serialized answer. Raises CallFailed.

        What the service has certainly not begun is sent again, and reads whenever it was not
        reached: anything else may have happened.
        """
        ends_s = clock.elapsed_s() + timeout_s
        entries = headers.metadata(metadata)
        attempt = 1
        while True:
            try:
                return await self._once(request, entries, ends_s)
            except CallFailed as error:
                if attempt == ATTEMPTS_MAX or not self._may_repeat(error):
                    raise
                pause_s = random.uniform(0.5, 1) * min(RETRY_FIRST_S * 2**attempt, RETRY_MAX_S)  # noqa: S311
                if clock.elapsed_s() + pause_s >= ends_s:
                    raise
            attempt += 1
            await asyncio.sleep(pause_s)

    @contextlib.asynccontextmanager
    async def stream(
        self, request: bytes, metadata: Metadata, timeout_s: float
    ) -> AsyncIterator[StreamingCall]:
        """A call with many answers, given up at the end of the block. Raises CallFailed."""
        loop = asyncio.get_running_loop()
        begun_s = clock.elapsed_s()
        connection = self._channel.usable() or await self._connected(begun_s + timeout_s)
        call = StreamingCall(connection, begun_s)
        block = self._head + headers.timeout(timeout_s) + headers.metadata(metadata)
        connection.start(call, block, request)
        timer = loop.call_later(timeout_s, connection.expire, call)
        try:
            yield call
        finally:
            timer.cancel()
            connection.reset(call)

    async def _once(self, request: bytes, entries: bytes, ends_s: float) -> bytes:
        connection = self._channel.usable() or await self._connected(ends_s)
        begun_s = clock.elapsed_s()
        left_s = ends_s - begun_s
        loop = asyncio.get_running_loop()
        call = UnaryCall(loop, begun_s)
        connection.start(call, self._head + headers.timeout(left_s) + entries, request)
        timer = loop.call_later(left_s, connection.expire, call)
        try:
            return await call.answer
        finally:
            timer.cancel()
            connection.reset(call)

    async def _connected(self, ends_s: float) -> Connection:
        try:
            async with asyncio.timeout(ends_s - clock.elapsed_s()):
                return await self._channel.connected()
        except TimeoutError:
            status = Status(StatusCode.DEADLINE_EXCEEDED, UNSEEN)
            raise CallFailed(status, is_unseen=True) from None

    def _may_repeat(self, error: CallFailed) -> bool:
        return error.code() is StatusCode.UNAVAILABLE and (self._is_read or error.is_unseen)
