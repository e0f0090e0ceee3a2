"""From the bytes of a connection to frames that are complete."""

from __future__ import annotations

from collections.abc import Iterator

from chassis.client import METADATA_BYTES_MAX
from gateway.grpc_client import frames
from gateway.grpc_client.frames import HEAD, HEAD_BYTES, ErrorCode, ProtocolError

_IN_BLOCKS = frozenset({frames.HEADERS, frames.CONTINUATION})
BLOCK_BYTES_MAX = 4 * METADATA_BYTES_MAX
"""A header block above METADATA_BYTES_MAX fails its call, one above this its connection."""
_TRIMMED = frames.PADDED | frames.HAS_PRIORITY
_SHAPE = _TRIMMED | frames.END_HEADERS


class FrameReader:
    """Takes bytes as they come; a header block in several frames comes out as one."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun: tuple[int, int, bytes] | None = None
        """Flags, stream and beginning of a header block that goes on."""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Kind, flags, stream and payload of each frame; to be read to its end.

        Raises ProtocolError.
        """
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while size - at >= HEAD_BYTES:
            high, low, kind, flags, stream = HEAD.unpack_from(data, at)
            length = high << 8 | low
            if length > frames.FRAME_BYTES_MAX:
                raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "a frame is too long")
            begin = at + HEAD_BYTES
            if size - begin < length:
                break
            at = begin + length
            payload = data[begin:at]
            stream &= frames.STREAM_MAX
            if (
                self._begun is None
                and kind <= frames.HEADERS
                and (kind == frames.DATA or flags & _SHAPE == frames.END_HEADERS)
            ):
                # Nearly all there is.
                yield kind, flags, stream, payload
            elif kind in _IN_BLOCKS or self._begun is not None:
                whole = self._block(kind, flags, stream, payload)
                if whole is not None:
                    yield frames.HEADERS, *whole
            else:
                frames.check(kind, flags, stream, payload)
                yield kind, flags, stream, payload
        self._rest = data[at:]

    def _block(
        self, kind: int, flags: int, stream: int, payload: bytes
    ) -> tuple[int, int, bytes] | None:
        """The header block that ends here, None when it goes on."""
        if kind == frames.HEADERS and self._begun is None:
            if flags & _TRIMMED:
                payload = frames.unpadded(payload, flags)
            begun, block = flags, payload
        elif kind == frames.CONTINUATION and self._begun is not None and self._begun[1] == stream:
            begun, block = self._begun[0], self._begun[2] + payload
        else:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a header block out of order")
        if len(block) > BLOCK_BYTES_MAX:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too long")
        if flags & frames.END_HEADERS:
            self._begun = None
            return begun, stream, block
        self._begun = begun, stream, block
        return None
