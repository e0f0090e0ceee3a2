"""Revisions in headers: `ETag` out, `If-Match` and `If-None-Match` in (RFC 9110, section 13).

An ETag is the revision of the row and a checksum of what is shown: the row's revision guards
writes, and a read is repeated also when something shown has changed without the row, such as a
sum. Weak marks are ignored, because proxies that compress put them on.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

from chassis.errors import EtagMismatch
from gateway.http import errors

_CHECKSUM = re.compile(r"-[0-9a-f]{8}")
ANY = "*"


def etag_of(revision: str, document: str) -> str:
    """The ETag header of a resource, with its quotes."""
    return f'"{revision}-{zlib.crc32(document.encode()):08x}"'


def revision_in(value: bytes) -> str:
    """The revision in an If-Match header; empty for `*`, which any revision fits.

    A revision as it stands in a body will do as well. Raises INVALID_FIELDS.
    """
    text = value.decode("latin-1").strip().removeprefix("W/")
    if text == ANY:
        return ""
    revision = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    revision = _without_checksum(revision)
    if not revision or '"' in revision or "," in revision or not revision.isprintable():
        raise errors.invalid("If-Match", "must name one revision")
    return revision


def is_known(headers: Mapping[bytes, bytes], tag: str) -> bool:
    """Whether an If-None-Match header says that the client has this representation."""
    sent = headers.get(b"if-none-match")
    if sent is None:
        return False
    tags = [each.strip().removeprefix("W/") for each in sent.decode("latin-1").split(",")]
    return ANY in tags or tag in tags


def require_revision(headers: Mapping[bytes, bytes], revision: str) -> None:
    """Raises ETAG_MISMATCH when a read names another revision with If-Match."""
    expected = headers.get(b"if-match")
    if expected is not None and revision_in(expected) not in {"", revision}:
        raise EtagMismatch("resource", revision)


def _without_checksum(text: str) -> str:
    return text[:-9] if _CHECKSUM.fullmatch(text[-9:]) else text
