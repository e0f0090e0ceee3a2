"""One call: what has arrived of its answer, and how it ends."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from typing import Any

import grpc
from grpc import StatusCode

from chassis.client import MESSAGE_BYTES_MAX
from gateway.grpc_client.frames import ErrorCode
from gateway.grpc_client.headers import DETAILS, Status

PREFIX = struct.Struct(">BL")
"""Of each message: whether it is compressed (never), and its length."""
STREAM_WINDOW = 1024 * 1024
"""What a service may send of one answer before we have taken it in."""
CLOSED = "The channel was closed."
UNSEEN = "The service has not looked at the call."
_FROM_RESET = {
    ErrorCode.REFUSED_STREAM: StatusCode.UNAVAILABLE,
    ErrorCode.CANCEL: StatusCode.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: StatusCode.PERMISSION_DENIED,
}


class CallFailed(grpc.aio.AioRpcError):
    """A call without an answer; `is_unseen` when the service has certainly not begun it."""

    def __init__(self, status: Status, *, is_unseen: bool = False) -> None:
        trailers = grpc.aio.Metadata()
        if status.details:
            trailers.add(DETAILS, status.details)
        super().__init__(status.code, grpc.aio.Metadata(), trailers, status.message)
        self.is_unseen = is_unseen


def unavailable(message: str, *, is_unseen: bool) -> CallFailed:
    """The service cannot be reached, or went away."""
    return CallFailed(Status(StatusCode.UNAVAILABLE, message), is_unseen=is_unseen)


def too_late() -> CallFailed:
    """The call's time is over."""
    message = "The service did not answer in time."
    return CallFailed(Status(StatusCode.DEADLINE_EXCEEDED, message))


def from_reset(code: int) -> CallFailed:
    """What a RST_STREAM means."""
    known = ErrorCode(code) if code in set(ErrorCode) else ErrorCode.INTERNAL_ERROR
    status = Status(
        _FROM_RESET.get(known, StatusCode.INTERNAL), f"The service broke off: {known.name}."
    )
    return CallFailed(status, is_unseen=known is ErrorCode.REFUSED_STREAM)


class Call:
    """A stream of a connection, as the connection sees it."""

    __slots__ = ("begun_s", "ends_s", "stream", "taken", "timer", "unsent", "window")

    def __init__(self, begun_s: float, ends_s: float) -> None:
        self.stream = 0
        self.begun_s = begun_s
        self.ends_s = ends_s
        self.timer: asyncio.TimerHandle
        """Ends it in time; set by the connection, and cancelled when it is over."""
        self.window = 0
        """How much more the service takes now."""
        self.taken = 0
        """How much was taken in since the service was allowed more."""
        self.unsent: memoryview | bytes = b""

    def on_data(self, payload: bytes) -> int:
        """Takes a part of the answer; how much more may come instead of it, at once.

        Raises CallFailed.
        """
        raise NotImplementedError

    def on_end(self, status: Status) -> None:
        """The service has said how it ended."""
        raise NotImplementedError

    def on_failure(self, error: CallFailed) -> None:
        """There will be no answer."""
        raise NotImplementedError


class UnaryCall(Call):
    """A call with one message as its answer: `await call.answer`."""

    __slots__ = ("_parts", "_size", "answer")

    def __init__(self, loop: asyncio.AbstractEventLoop, begun_s: float, ends_s: float) -> None:
        super().__init__(begun_s, ends_s)
        self.answer: asyncio.Future[bytes] = loop.create_future()
        self._parts: list[bytes] = []
        self._size = 0

    def on_data(self, payload: bytes) -> int:
        """Keeps it; all of an answer is wanted."""
        self._size += len(payload)
        if self._size > MESSAGE_BYTES_MAX + PREFIX.size:
            raise _too_large()
        self._parts.append(payload)
        return len(payload)

    def on_end(self, status: Status) -> None:
        """Hands the message to who waits."""
        if self.answer.done():
            return
        if status.code is not StatusCode.OK:
            self.answer.set_exception(CallFailed(status))
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        try:
            size = _size_of(body)
        except CallFailed as error:
            self.answer.set_exception(error)
            return
        if size != len(body) - PREFIX.size:
            self.answer.set_exception(_broken("The service has not sent exactly one message."))
            return
        self.answer.set_result(body[PREFIX.size :])

    def on_failure(self, error: CallFailed) -> None:
        """Tells who waits."""
        if not self.answer.done():
            self.answer.set_exception(error)


class StreamingCall(Call):
    """A call with many messages as its answer: `await call.read()` until it is None."""

    __slots__ = ("_arrived", "_buffer", "_connection", "_ended", "_messages", "_read")

    def __init__(self, connection: Any, begun_s: float, ends_s: float) -> None:
        super().__init__(begun_s, ends_s)
        self._connection = connection
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        self._ended: CallFailed | bool = False
        self._arrived = asyncio.Event()
        self._read = 0

    def on_data(self, payload: bytes) -> int:
        """Keeps it; more may come when it was read."""
        if self._read + self.taken + len(payload) > STREAM_WINDOW:
            raise _broken("The service sends faster than it may.")
        self._buffer += payload
        while len(self._buffer) >= PREFIX.size:
            end = PREFIX.size + _size_of(self._buffer)
            if len(self._buffer) < end:
                break
            self._messages.append(bytes(self._buffer[PREFIX.size : end]))
            del self._buffer[:end]
            self._arrived.set()
        if not self._messages:
            # Nobody can read a part of a message: the rest is wanted now.
            return len(payload)
        self._read += len(payload)
        return 0

    def on_end(self, status: Status) -> None:
        """The last message has come."""
        if status.code is not StatusCode.OK:
            self._ended = CallFailed(status)
        elif self._buffer:
            self._ended = _broken("The service broke off within a message.")
        else:
            self._ended = True
        self._arrived.set()

    def on_failure(self, error: CallFailed) -> None:
        """Read after the messages that have come."""
        self._ended = error
        self._arrived.set()

    async def is_over(self) -> bool:
        """Waits for a message; whether there will be none. Raises CallFailed."""
        while not self._messages:
            if isinstance(self._ended, CallFailed):
                raise self._ended
            if self._ended:
                return True
            self._arrived.clear()
            await self._arrived.wait()
        return False

    async def read(self) -> bytes | None:
        """The next message, None behind the last. Raises CallFailed."""
        if await self.is_over():
            return None
        message = self._messages.popleft()
        if not self._messages and self._read:
            read, self._read = self._read, 0
            self._connection.allow(self, read)
        return message

    def give_up(self) -> None:
        """Ends it wherever it stands."""
        self._connection.reset(self)


def _size_of(body: bytes | bytearray) -> int:
    if len(body) < PREFIX.size:
        raise _broken("The service has sent no message.")
    compressed, size = PREFIX.unpack_from(body)
    if compressed:
        raise _broken("The service has compressed its answer, which nobody asked for.")
    if size > MESSAGE_BYTES_MAX:
        raise _too_large()
    return int(size)


def _too_large() -> CallFailed:
    message = f"The answer is larger than {MESSAGE_BYTES_MAX} bytes."
    return CallFailed(Status(StatusCode.RESOURCE_EXHAUSTED, message))


def _broken(message: str) -> CallFailed:
    return CallFailed(Status(StatusCode.INTERNAL, message))
