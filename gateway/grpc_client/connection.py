"""One HTTP/2 connection to a service, with many calls at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from grpc import StatusCode

from chassis import clock
from gateway.grpc_client import frames, headers
from gateway.grpc_client.calls import (
    CLOSED,
    STREAM_WINDOW,
    UNSEEN,
    Call,
    CallFailed,
    from_reset,
    too_late,
    unavailable,
)
from gateway.grpc_client.frames import ErrorCode, ProtocolError, Setting
from gateway.grpc_client.greeting import GREETING, WINDOW_LEFT_MIN
from gateway.grpc_client.headers import Status
from gateway.grpc_client.places import Places
from gateway.grpc_client.reader import FrameReader
from gateway.grpc_client.sender import Sender
from gateway.grpc_client.write_buffer import WriteBuffer

log = logging.getLogger(__name__)

SILENCE_S = 5.0
"""How long a connection is believed in that answers no ping, or takes in no last words."""
_NO_STATUS = Status(StatusCode.UNKNOWN, "The service sent no status.")
_PING = b"writer\x00\x00"


class Connection(asyncio.Protocol):
    """Starts calls and hands them what comes for them.

    `when_unusable` is called once, as soon as no further call can be started; those that run
    go on if they can.
    """

    def __init__(self, when_unusable: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = self._loop.create_future()
        """Done when the service has shown that it speaks HTTP/2; failed when it never will."""
        self.is_usable = True
        self._when_unusable = when_unusable
        self._buffer: WriteBuffer
        self._sender: Sender
        self._reader = FrameReader()
        self._calls: dict[int, Call] = {}
        self._next_stream = 1
        self.places = Places(self._calls)
        self._taken = 0
        self._heard_s = 0.0
        self._doubt: asyncio.TimerHandle | None = None
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
        }

    # What channels ask for.

    def start(self, call: Call, block: bytes, message: bytes) -> None:
        """Sends a call, which is over when its time is. Raises CallFailed."""
        if not self.is_usable:
            raise unavailable(UNSEEN, is_unseen=True)
        call.stream = self._next_stream
        if call.stream == 1:
            block = headers.NO_TABLE + block
        self._next_stream += 2
        self._calls[call.stream] = call
        call.timer = self._loop.call_later(call.ends_s - call.begun_s, self.expire, call)
        self._sender.send(call, block, message)
        if self._next_stream > frames.STREAM_MAX:
            self._end_use()

    def reset(self, call: Call) -> None:
        """Gives a call up, if it still runs: nobody waits for it."""
        if self._forget(call.stream) is not None:
            self._buffer.write(frames.rst_stream(call.stream, ErrorCode.CANCEL))
            call.on_failure(CallFailed(Status(StatusCode.CANCELLED, "The call was given up.")))

    def expire(self, call: Call) -> None:
        """Gives a call up because its time is over, and doubts a connection that is silent."""
        if self._forget(call.stream) is None:
            return
        self._buffer.write(frames.rst_stream(call.stream, ErrorCode.CANCEL))
        call.on_failure(too_late())
        if self._heard_s < call.begun_s and self._doubt is None:
            self._buffer.write(frames.frame(frames.PING, 0, 0, _PING))
            self._doubt_it()

    def allow(self, call: Call, size: int) -> None:
        """Lets so much more of an answer come; said when it is worth a frame."""
        call.taken += size
        if call.taken >= STREAM_WINDOW // 2 and call.stream in self._calls:
            self._buffer.write(frames.window_update(call.stream, call.taken))
            call.taken = 0

    def close(self) -> None:
        """Ends the connection and all calls on it."""
        self._end(CLOSED, ErrorCode.NO_ERROR)

    # What the transport says.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Greets the service."""
        self._buffer = WriteBuffer(self._loop, transport)
        self._sender = Sender(self._buffer)
        self._buffer.write(GREETING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fails what waits."""
        if self._doubt is not None:
            self._doubt.cancel()
        self._fail(f"The connection was lost: {exc!r}." if exc else "The service hung up.")

    def data_received(self, data: bytes) -> None:
        """Handles the frames that are complete."""
        self._heard_s = clock.elapsed_s()
        try:
            for kind, flags, stream, payload in self._reader.feed(data):
                handle = self._handlers.get(kind)
                # Kinds that nobody knows mean nothing (RFC 9113, section 4.1).
                if handle is not None:
                    handle(flags, stream, payload)
        except ProtocolError as error:
            log.warning("a service does not speak HTTP/2 as we know it: %s", error)
            self._end(str(error), error.code)

    # What frames mean.

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        size = len(payload)
        self._taken += size
        if self._taken > frames.WINDOW_MAX - WINDOW_LEFT_MIN:
            self._buffer.write(frames.window_update(0, self._taken))
            self._taken = 0
        call = self._calls.get(stream)
        if call is None:
            self._check_past(stream)
            return
        if flags & frames.PADDED:
            payload = frames.unpadded(payload, frames.PADDED)
        try:
            wanted = call.on_data(payload) + size - len(payload)
        except CallFailed as error:
            self._break_off(call, error)
            return
        if flags & frames.END_STREAM:
            self._finish(call, _NO_STATUS)
        elif wanted:
            self.allow(call, wanted)

    def _on_headers(self, flags: int, stream: int, block: bytes) -> None:
        call = self._calls.get(stream)
        if call is None:
            self._check_past(stream)
            return
        status = headers.status(block)
        if flags & frames.END_STREAM:
            self._finish(call, status or _NO_STATUS)
        elif status is not None and status.code is not StatusCode.OK:
            # A refusal in words of HTTP, with a page that nobody reads.
            self._break_off(call, CallFailed(status))

    def _on_reset(self, _flags: int, stream: int, payload: bytes) -> None:
        call = self._forget(stream)
        if call is None:
            self._check_past(stream)
            return
        code = frames.number(payload)
        # Servers cancel what is too late, and may be heard before our own timer.
        is_late = code == ErrorCode.CANCEL and clock.elapsed_s() >= call.ends_s
        call.on_failure(too_late() if is_late else from_reset(code))

    def _on_settings(self, flags: int, _stream: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        values = frames.read_settings(payload)
        # First: a wider window may let data go at once, and the service must know by what.
        self._buffer.write(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
        for name, value in values:
            if name == Setting.MAX_CONCURRENT_STREAMS:
                self.places.bound(value)
            else:
                self._sender.apply(name, value, self._calls.values())
        if not self.greeted.done():
            self.greeted.set_result(None)

    def _on_push(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "the service pushes")

    def _on_ping(self, flags: int, _stream: int, payload: bytes) -> None:
        if not flags & frames.ACK:
            self._buffer.write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, _flags: int, _stream: int, payload: bytes) -> None:
        last = frames.last_stream(payload)
        self._end_use()
        for call in [call for stream, call in self._calls.items() if stream > last]:
            self._forget(call.stream)
            call.on_failure(unavailable(UNSEEN, is_unseen=True))
        self._close_when_done()

    def _on_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        increment = frames.number(payload) & frames.WINDOW_MAX
        if not increment:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "an empty window update")
        if stream == 0:
            self._sender.widen(increment, self._calls.values())
        elif stream in self._calls:
            self._sender.widen_call(self._calls[stream], increment)
        else:
            self._check_past(stream)

    # The rest.

    def _check_past(self, stream: int) -> None:
        """What comes late for a call that is over means nothing; else raises ProtocolError."""
        if not stream & 1 or stream >= self._next_stream:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a frame of a stream that never was")

    def _finish(self, call: Call, status: Status) -> None:
        self._forget(call.stream)
        if call.unsent:
            # Answered before all was asked: for the service the stream would stay open.
            self._buffer.write(frames.rst_stream(call.stream, ErrorCode.CANCEL))
        call.on_end(status)

    def _break_off(self, call: Call, error: CallFailed) -> None:
        self._forget(call.stream)
        self._buffer.write(frames.rst_stream(call.stream, ErrorCode.CANCEL))
        call.on_failure(error)

    def _forget(self, stream: int) -> Call | None:
        call = self._calls.pop(stream, None)
        if call is not None:
            call.timer.cancel()
            self.places.give()
            if not self.is_usable:
                self._close_when_done()
        return call

    def _close_when_done(self) -> None:
        if not self._calls:
            self._hang_up()

    def _hang_up(self) -> None:
        self._buffer.close()
        self._doubt_it()

    def _doubt_it(self) -> None:
        if self._doubt is None:
            since_s = clock.elapsed_s()
            self._doubt = self._loop.call_later(SILENCE_S, self._believe, since_s)

    def _believe(self, since_s: float) -> None:
        self._doubt = None
        if self._heard_s < since_s or self._buffer.is_closing():
            self._buffer.abort()

    def _end(self, message: str, code: ErrorCode) -> None:
        if not self._buffer.is_closing():
            self._buffer.write(frames.goaway(code))
            self._fail(message)
            self._hang_up()

    def _end_use(self) -> None:
        if self.is_usable:
            self.is_usable = False
            self._when_unusable()
            self.places.refuse(unavailable(UNSEEN, is_unseen=True))

    def _fail(self, message: str) -> None:
        self._end_use()
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(message))
            # Seen, even when nobody waits for it any more.
            self.greeted.exception()
        calls = list(self._calls.values())
        self._calls.clear()
        for call in calls:
            call.timer.cancel()
            call.on_failure(unavailable(message, is_unseen=False))
