"""HTTP/2 frames as RFC 9113 numbers them."""

from __future__ import annotations

import struct
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">HBBBL")
"""Length (its upper 16 bits, its lower 8), type, flags, stream."""
HEAD_BYTES = HEAD.size
FRAME_BYTES_MAX = 16_384
"""Of a payload, unless the receiver says that it takes more; we never do."""
WINDOW_AT_START = 65_535
WINDOW_MAX = 2**31 - 1
STREAM_MAX = 2**31 - 1

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE = range(9)
CONTINUATION = 9

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20


class Setting(IntEnum):
    """What the two ends tell each other of themselves."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


_ON_CONNECTION = frozenset({SETTINGS, PING, GOAWAY})
_SIZES = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
_SETTING = struct.Struct(">HL")
_NUMBER = struct.Struct(">L")
_TWO_NUMBERS = struct.Struct(">LL")


class ProtocolError(Exception):
    """The other side does what HTTP/2 forbids; the connection cannot go on."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes | memoryview) -> bytes:
    """One frame, as it is sent."""
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in values.items()))


def check(kind: int, flags: int, stream: int, payload: bytes) -> None:
    """Raises ProtocolError for a frame of the wrong size, or where its kind does not belong."""
    if _SIZES.get(kind, len(payload)) != len(payload) or (kind == SETTINGS and flags and payload):
        raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "a frame of the wrong size")
    if stream and kind in _ON_CONNECTION:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a frame that belongs to no stream")


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The settings of a frame in order, unknown ones included. Raises ProtocolError."""
    if len(payload) % _SETTING.size:
        raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "broken SETTINGS")
    return list(_SETTING.iter_unpack(payload))


def window_update(stream: int, increment: int) -> bytes:
    """Allows so many more bytes; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, _NUMBER.pack(increment))


def rst_stream(stream: int, code: ErrorCode) -> bytes:
    """Ends a stream at once."""
    return frame(RST_STREAM, 0, stream, _NUMBER.pack(code))


def goaway(code: ErrorCode) -> bytes:
    """Ends the connection; we never took a stream of the server's."""
    return frame(GOAWAY, 0, 0, _TWO_NUMBERS.pack(0, code))


def number(payload: bytes) -> int:
    """The number that RST_STREAM and WINDOW_UPDATE consist of."""
    return int(_NUMBER.unpack(payload)[0])


def last_stream(payload: bytes) -> int:
    """The last stream that the sender of a GOAWAY has looked at. Raises ProtocolError."""
    if len(payload) < _TWO_NUMBERS.size:
        raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "broken GOAWAY")
    return int(_TWO_NUMBERS.unpack_from(payload)[0]) & STREAM_MAX


def unpadded(payload: bytes, flags: int) -> bytes:
    """A payload of DATA or HEADERS without padding and priority. Raises ProtocolError."""
    begin, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "broken padding")
        begin, end = 1, end - payload[0]
    if flags & HAS_PRIORITY:
        begin += 5
    if begin > end:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[begin:end]
