"""Header blocks of calls, and the status that a service ends them with.

We tell servers to compress without a table of earlier headers and use none ourselves. So a block
means the same whenever it comes, and the few that all answers begin and end with are read once.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

import hpack
from grpc import StatusCode

from chassis.client import METADATA_BYTES_MAX
from gateway.grpc_client.frames import ErrorCode, ProtocolError

Metadata = Iterable[tuple[str, str]]

DETAILS = "grpc-status-details-bin"
KNOWN_BLOCKS = 256
"""How many different blocks are remembered; those of refusals come and go."""
KNOWN_NAMES = 64
"""Of headers that we send; more than there are."""
_TIMEOUT_UNITS_MAX = 99_999_999
_CODES = {str(code.value[0]): code for code in StatusCode}
_FROM_HTTP = {
    "400": StatusCode.INTERNAL,
    "401": StatusCode.UNAUTHENTICATED,
    "403": StatusCode.PERMISSION_DENIED,
    "404": StatusCode.UNIMPLEMENTED,
    "429": StatusCode.UNAVAILABLE,
    "502": StatusCode.UNAVAILABLE,
    "503": StatusCode.UNAVAILABLE,
    "504": StatusCode.UNAVAILABLE,
}
# Indexed fields of HPACK's static table: POST and http.
_POST_HTTP = b"\x83\x86"
NO_TABLE = b"\x20"
"""Begins the first block of a connection: we use no table, whatever size the service allows."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a call has ended."""

    code: StatusCode
    message: str = ""
    details: bytes = b""
    """A serialized `google.rpc.Status`; empty when the service sent none."""


_TOO_LARGE = Status(
    StatusCode.RESOURCE_EXHAUSTED,
    f"The answer's headers are larger than {METADATA_BYTES_MAX} bytes.",
)


def literal(name: str, value: str) -> bytes:
    """One header that nobody shall remember (HPACK: literal without indexing)."""
    text = value.encode("ascii")
    return _name(name) + _length(len(text)) + text


@lru_cache(maxsize=KNOWN_NAMES)
def _name(name: str) -> bytes:
    key = name.encode("ascii")
    return b"\x00" + _length(len(key)) + key


def request_head(path: str, authority: str, agent: str) -> bytes:
    """What is the same in every call of a method."""
    return b"".join(
        (
            _POST_HTTP,
            literal(":path", path),
            literal(":authority", authority),
            literal("te", "trailers"),
            literal("content-type", "application/grpc"),
            literal("user-agent", agent),
        )
    )


def metadata(entries: Metadata) -> bytes:
    """Metadata as headers. Raises ValueError for what headers cannot hold."""
    return b"".join([literal(name, value) for name, value in entries])


def timeout(seconds: float) -> bytes:
    """How long the service may take: no less than we wait, so that it is us who give up."""
    milliseconds = min(max(0, int(seconds * 1000)) + 1, _TIMEOUT_UNITS_MAX)
    return literal("grpc-timeout", f"{milliseconds}m")


@lru_cache(maxsize=KNOWN_BLOCKS)
def status(block: bytes) -> Status | None:
    """The status in a block: in trailers, or where they are all there is. Raises ProtocolError."""
    if len(block) > METADATA_BYTES_MAX:
        return _TOO_LARGE
    decoder = hpack.Decoder(METADATA_BYTES_MAX)
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    try:
        found = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in decoder.decode(block, raw=True)
        }
    except hpack.OversizedHeaderListError:
        # Only this call's affair: no block depends on another.
        return _TOO_LARGE
    except hpack.HPACKError as error:
        raise ProtocolError(ErrorCode.COMPRESSION_ERROR, repr(error)) from error
    sent = found.get("grpc-status")
    if sent is not None:
        code = _CODES.get(sent, StatusCode.UNKNOWN)
        return Status(code, unquote(found.get("grpc-message", "")), _binary(found.get(DETAILS, "")))
    http_status = found.get(":status", "200")
    if http_status != "200" and not http_status.startswith("1"):
        # Something between us and the service has answered.
        code = _FROM_HTTP.get(http_status, StatusCode.UNKNOWN)
        return Status(code, f"HTTP status {http_status}")
    return None


def _binary(value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return b""


def _length(size: int) -> bytes:
    # An integer with a prefix of seven bits; the eighth would say that the text is compressed.
    if size < 0x7F:
        return bytes((size,))
    rest = size - 0x7F
    coded = bytearray(b"\x7f")
    while rest >= 0x80:
        coded.append(rest & 0x7F | 0x80)
        rest >>= 7
    coded.append(rest)
    return bytes(coded)
