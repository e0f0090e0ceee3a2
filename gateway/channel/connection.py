"""One HTTP/2 connection to a service, with many calls at once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from grpc import StatusCode

from chassis import clock
from chassis.client import METADATA_BYTES_MAX
from gateway.channel import frames, headers
from gateway.channel.calls import UNSEEN, Call, CallFailed, from_reset, unavailable
from gateway.channel.frames import ErrorCode, ProtocolError, Setting
from gateway.channel.headers import Status
from gateway.channel.reader import FrameReader
from gateway.channel.sender import Sender

log = logging.getLogger(__name__)

STREAM_WINDOW = 1024 * 1024
"""What a service may send of one answer before we have taken it in."""
WINDOW_LEFT_MIN = 2**30
"""Of the connection; the calls have windows of their own, so this one is only kept open."""
PROBE_S = 5.0
"""How long a connection that has gone silent is believed in."""
_GREETING = (
    frames.PREFACE
    + frames.settings(
        {
            Setting.HEADER_TABLE_SIZE: 0,
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            Setting.MAX_HEADER_LIST_SIZE: METADATA_BYTES_MAX,
        }
    )
    + frames.window_update(0, frames.WINDOW_MAX - frames.WINDOW_AT_START)
)
_PING = b"writer\x00\x00"


class Connection(asyncio.Protocol):
    """Starts calls and hands them what comes for them.

    `when_unusable` is called once, as soon as no further call can be started; those that run
    go on if they can.
    """

    def __init__(self, when_unusable: Callable[[], None]) -> None:
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the service has shown that it speaks HTTP/2; failed when it never will."""
        self.is_usable = True
        self._when_unusable = when_unusable
        self._transport: asyncio.Transport
        self._sender: Sender
        self._reader = FrameReader()
        self._calls: dict[int, Call] = {}
        self._next_stream = 1
        self._calls_max = frames.STREAM_MAX
        self._room: deque[asyncio.Future[None]] = deque()
        self._taken = 0
        self._heard_s = 0.0
        self._probe: asyncio.TimerHandle | None = None
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

    @property
    def is_full(self) -> bool:
        """Whether the service wants no more calls at once."""
        return len(self._calls) >= self._calls_max

    async def room(self) -> None:
        """Waits until a call has ended; the caller bounds the wait. Raises CallFailed."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room.append(waiting)
        await waiting

    def start(self, call: Call, block: bytes, message: bytes) -> None:
        """Sends a call. Raises CallFailed when the connection takes no more."""
        if not self.is_usable:
            raise unavailable(UNSEEN, is_unseen=True)
        call.stream = self._next_stream
        self._next_stream += 2
        self._calls[call.stream] = call
        self._sender.send(call, block, message)
        if self._next_stream > frames.STREAM_MAX:
            self._end_use()

    def reset(self, call: Call) -> None:
        """Gives a call up, if it still runs: nobody waits for it."""
        if self._forget(call.stream) is not None:
            self._transport.write(frames.rst_stream(call.stream, ErrorCode.CANCEL))
            call.on_failure(CallFailed(Status(StatusCode.CANCELLED, "The call was given up.")))

    def expire(self, call: Call) -> None:
        """Gives a call up because its time is over, and doubts a connection that is silent."""
        if self._forget(call.stream) is None:
            return
        self._transport.write(frames.rst_stream(call.stream, ErrorCode.CANCEL))
        message = "The service did not answer in time."
        call.on_failure(CallFailed(Status(StatusCode.DEADLINE_EXCEEDED, message)))
        if self._heard_s < call.begun_s and self._probe is None:
            self._transport.write(frames.frame(frames.PING, 0, 0, _PING))
            self._probe = asyncio.get_running_loop().call_later(PROBE_S, self._transport.abort)

    def allow(self, call: Call, size: int) -> None:
        """Lets so much more of an answer come; said when it is worth a frame."""
        call.taken += size
        if call.taken >= STREAM_WINDOW // 2 and call.stream in self._calls:
            self._transport.write(frames.window_update(call.stream, call.taken))
            call.taken = 0

    def close(self) -> None:
        """Ends the connection and all calls on it."""
        self._transport.write(frames.goaway(ErrorCode.NO_ERROR))
        self._fail("The channel was closed.")
        self._transport.close()

    # What the transport says.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Greets the service."""
        self._transport = transport
        self._sender = Sender(transport)
        transport.write(_GREETING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fails what waits."""
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
            self._transport.write(frames.goaway(error.code))
            self._fail(str(error))
            self._transport.close()

    # What frames mean.

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        size = len(payload)
        self._taken += size
        if self._taken > frames.WINDOW_MAX - WINDOW_LEFT_MIN:
            self._transport.write(frames.window_update(0, self._taken))
            self._taken = 0
        call = self._calls.get(stream)
        if call is None:
            return
        if flags & frames.PADDED:
            payload = frames.unpadded(payload, frames.PADDED)
        try:
            wanted = call.on_data(payload) + size - len(payload)
        except CallFailed as error:
            self._break_off(call, error)
            return
        if flags & frames.END_STREAM:
            self._forget(stream)
            call.on_end(Status(StatusCode.INTERNAL, "The service said nothing about the end."))
        elif wanted:
            self.allow(call, wanted)

    def _on_headers(self, flags: int, stream: int, block: bytes) -> None:
        call = self._calls.get(stream)
        if call is None:
            return
        status = headers.read(block).status
        if not flags & frames.END_STREAM:
            if status is not None:
                # A refusal in words of HTTP, with a page that nobody reads.
                self._break_off(call, CallFailed(status))
            return
        self._forget(stream)
        call.on_end(status or Status(StatusCode.UNKNOWN, "The service sent no status."))

    def _on_reset(self, _flags: int, stream: int, payload: bytes) -> None:
        call = self._forget(stream)
        if call is not None:
            call.on_failure(from_reset(frames.number(payload)))

    def _on_settings(self, flags: int, _stream: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        for name, value in frames.read_settings(payload):
            if name == Setting.MAX_CONCURRENT_STREAMS:
                self._calls_max = value
            else:
                self._sender.apply(name, value, self._calls.values())
        self._transport.write(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
        self._make_room()
        if not self.greeted.done():
            self.greeted.set_result(None)

    def _on_push(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "the service pushes")

    def _on_ping(self, flags: int, _stream: int, payload: bytes) -> None:
        if not flags & frames.ACK:
            self._transport.write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif self._probe is not None:
            self._probe.cancel()
            self._probe = None

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

    # The rest.

    def _break_off(self, call: Call, error: CallFailed) -> None:
        self._forget(call.stream)
        self._transport.write(frames.rst_stream(call.stream, ErrorCode.CANCEL))
        call.on_failure(error)

    def _forget(self, stream: int) -> Call | None:
        call = self._calls.pop(stream, None)
        if call is not None:
            if self._room:
                self._make_room()
            if not self.is_usable:
                self._close_when_done()
        return call

    def _make_room(self) -> None:
        # Who was woken may find the room taken again, and waits again.
        free = self._calls_max - len(self._calls)
        while self._room and free > 0:
            waiting = self._room.popleft()
            if not waiting.done():
                waiting.set_result(None)
                free -= 1

    def _close_when_done(self) -> None:
        if not self._calls:
            self._transport.close()

    def _end_use(self) -> None:
        if self.is_usable:
            self.is_usable = False
            self._when_unusable()
        while self._room:
            waiting = self._room.popleft()
            if not waiting.done():
                waiting.set_exception(unavailable(UNSEEN, is_unseen=True))

    def _fail(self, message: str) -> None:
        self._end_use()
        if self._probe is not None:
            self._probe.cancel()
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(message))
            # Seen, even when nobody waits for it any more.
            self.greeted.exception()
        calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            call.on_failure(unavailable(message, is_unseen=False))
