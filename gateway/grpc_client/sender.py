"""Sending calls no faster than the service takes them."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.grpc_client import frames
from gateway.grpc_client.calls import PREFIX, Call
from gateway.grpc_client.frames import HEAD, ErrorCode, ProtocolError, Setting
from gateway.grpc_client.write_buffer import WriteBuffer


class Sender:
    """Cuts calls into frames and keeps back what the service's windows have no room for."""

    def __init__(self, buffer: WriteBuffer) -> None:
        self._buffer = buffer
        self._window = frames.WINDOW_AT_START
        self._window_of_calls = frames.WINDOW_AT_START
        self._frame_max = frames.FRAME_BYTES_MAX

    def send(self, call: Call, block: bytes, message: bytes) -> None:
        """Sends a call, or as much of it as may be sent now."""
        size = PREFIX.size + len(message)
        if (
            size > self._window
            or size > self._window_of_calls
            or size > self._frame_max
            or len(block) > self._frame_max
        ):
            self._send_block(call.stream, block)
            call.window = self._window_of_calls
            call.unsent = memoryview(PREFIX.pack(0, len(message)) + message)
            self._send_rest(call)
            return
        # All of most calls in one piece.
        self._window -= size
        call.window = self._window_of_calls - size
        head = HEAD.pack(
            len(block) >> 8, len(block) & 0xFF, frames.HEADERS, frames.END_HEADERS, call.stream
        )
        data = HEAD.pack(size >> 8, size & 0xFF, frames.DATA, frames.END_STREAM, call.stream)
        prefix = PREFIX.pack(0, len(message))
        self._buffer.write(head, block, data, prefix, message)

    def apply(self, name: int, value: int, calls: Iterable[Call]) -> None:
        """Takes note of a setting of the service. Raises ProtocolError."""
        if name == Setting.INITIAL_WINDOW_SIZE:
            if value > frames.WINDOW_MAX:
                raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "a window is too large")
            change, self._window_of_calls = value - self._window_of_calls, value
            for call in calls:
                self.widen_call(call, change)
        elif name == Setting.MAX_FRAME_SIZE:
            if not frames.FRAME_BYTES_MAX <= value < 2**24:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a frame size out of bounds")
            self._frame_max = value

    def widen(self, increment: int, calls: Iterable[Call]) -> None:
        """The service takes so much more on the connection. Raises ProtocolError."""
        self._window = _widened(self._window, increment)
        for call in calls:
            if call.unsent:
                self._send_rest(call)

    def widen_call(self, call: Call, increment: int) -> None:
        """The service takes so much more of a call. Raises ProtocolError."""
        call.window = _widened(call.window, increment)
        self._send_rest(call)

    def _send_block(self, stream: int, block: bytes) -> None:
        kind = frames.HEADERS
        while block:
            part, block = block[: self._frame_max], block[self._frame_max :]
            flags = 0 if block else frames.END_HEADERS
            self._buffer.write(frames.frame(kind, flags, stream, part))
            kind = frames.CONTINUATION

    def _send_rest(self, call: Call) -> None:
        while call.unsent:
            size = min(len(call.unsent), self._window, call.window, self._frame_max)
            if size <= 0:
                return
            part, call.unsent = call.unsent[:size], call.unsent[size:]
            self._window -= size
            call.window -= size
            flags = 0 if call.unsent else frames.END_STREAM
            self._buffer.write(frames.frame(frames.DATA, flags, call.stream, part))


def _widened(window: int, increment: int) -> int:
    if window + increment > frames.WINDOW_MAX:
        raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "a window is too large")
    return window + increment
