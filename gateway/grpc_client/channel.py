"""The way to one service: a connection that is made when it is needed, and calls on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import weakref
from collections.abc import AsyncIterator

from grpc import StatusCode

from chassis import clock
from chassis.waiting import outcome
from gateway.grpc_client import headers
from gateway.grpc_client.calls import (
    CLOSED,
    UNSEEN,
    CallFailed,
    StreamingCall,
    UnaryCall,
    unavailable,
)
from gateway.grpc_client.connection import Connection
from gateway.grpc_client.headers import Metadata, Status

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
        self._opened: weakref.WeakSet[Connection] = weakref.WeakSet()
        """Also those that only run calls to their end; the event loop keeps them alive."""
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
        return None if connection is None or connection.places.are_taken else connection

    async def connected(self) -> Connection:
        """A connection that takes a call; the caller bounds the wait. Raises CallFailed."""
        connection = self._connection or await self._connect()
        if connection.is_usable and connection.places.are_taken:
            await connection.places.one()
        return connection

    async def close(self) -> None:
        """Ends all calls."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        for connection in list(self._opened):
            connection.close()

    async def _connect(self) -> Connection:
        if self._is_closed:
            raise unavailable(CLOSED, is_unseen=True)
        if self._connecting is None:
            if clock.elapsed_s() < self._away_until_s:
                raise unavailable("The service was not reached a moment ago.", is_unseen=True)
            self._connecting = asyncio.create_task(self._attempt(), name=f"to {self._address}")
        attempt = self._connecting
        try:
            # Others wait for the same attempt.
            return await outcome(attempt)
        except asyncio.CancelledError:
            if attempt.cancelled():
                raise unavailable(CLOSED, is_unseen=True) from None
            raise

    async def _attempt(self) -> Connection:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await self._open()
        except (OSError, TimeoutError) as error:
            log.info("no connection to %s: %r", self._address, error)
            self._away_until_s = clock.elapsed_s() + self._away_s
            self._away_s = min(self._away_s * 2, AWAY_MAX_S)
            raise unavailable(f"The service cannot be reached: {error}.", is_unseen=True) from error
        finally:
            self._connecting = None
        self._away_s = AWAY_FIRST_S
        if connection.is_usable:
            self._connection = connection
        return connection

    async def _open(self) -> Connection:
        host, _, port = self._address.rpartition(":")
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._lost), host.strip("[]"), int(port)
        )
        self._opened.add(connection)
        try:
            await connection.greeted
        except BaseException:
            connection.close()
            raise
        return connection

    def _lost(self) -> None:
        self._connection = None


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
                await self._pause(error, attempt, ends_s)
            attempt += 1

    @contextlib.asynccontextmanager
    async def stream(
        self, request: bytes, metadata: Metadata, timeout_s: float
    ) -> AsyncIterator[StreamingCall]:
        """A call with many answers, given up at the end of the block. Raises CallFailed.

        Begins with the first answer; until then it is sent again like any other call.
        """
        ends_s = clock.elapsed_s() + timeout_s
        entries = headers.metadata(metadata)
        attempt = 1
        call: StreamingCall | None = None
        while call is None:
            try:
                call = await self._begun(request, entries, ends_s)
            except CallFailed as error:
                await self._pause(error, attempt, ends_s)
            attempt += 1
        try:
            yield call
        finally:
            call.give_up()

    async def _once(self, request: bytes, entries: bytes, ends_s: float) -> bytes:
        connection = self._channel.usable() or await self._connected(ends_s)
        begun_s = clock.elapsed_s()
        call = UnaryCall(asyncio.get_running_loop(), begun_s, ends_s)
        connection.start(call, self._head + headers.timeout(ends_s - begun_s) + entries, request)
        try:
            return await call.answer
        finally:
            connection.reset(call)

    async def _begun(self, request: bytes, entries: bytes, ends_s: float) -> StreamingCall:
        connection = self._channel.usable() or await self._connected(ends_s)
        begun_s = clock.elapsed_s()
        call = StreamingCall(connection, begun_s, ends_s)
        connection.start(call, self._head + headers.timeout(ends_s - begun_s) + entries, request)
        try:
            await call.is_over()
        except BaseException:
            call.give_up()
            raise
        return call

    async def _pause(self, error: CallFailed, attempt: int, ends_s: float) -> None:
        """Waits before the next attempt; raises the error when there shall be none."""
        longest_s = min(RETRY_FIRST_S * 2 ** (attempt - 1), RETRY_MAX_S)
        pause_s = random.uniform(0.5, 1) * longest_s  # noqa: S311
        if (
            attempt == ATTEMPTS_MAX
            or error.code() is not StatusCode.UNAVAILABLE
            or not (self._is_read or error.is_unseen)
            or clock.elapsed_s() + pause_s >= ends_s
        ):
            raise error
        await asyncio.sleep(pause_s)

    async def _connected(self, ends_s: float) -> Connection:
        try:
            async with asyncio.timeout(ends_s - clock.elapsed_s()):
                return await self._channel.connected()
        except TimeoutError:
            status = Status(StatusCode.DEADLINE_EXCEEDED, UNSEEN)
            raise CallFailed(status, is_unseen=True) from None
