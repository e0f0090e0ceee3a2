"""Revisions in headers: `ETag` out, `If-Match` and `If-None-Match` in (RFC 9110, section 13).

An ETag is a row's revision, which guards writes, and a checksum of what is shown, such as a sum
that changes without the row. Weak marks are ignored, because proxies that compress put them on.
Both headers are lists; several lines of them are one (`exchange`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

from chassis.errors import EtagMismatch
from gateway.http import errors

_CHECKSUM = re.compile(r"-[0-9a-f]{8}")
# Possessive: what does not fit is found out in one pass, however long it is.
_ELEMENT = re.compile(r'[ \t]*+(?:W/)?+(?:"([^"]*+)"|([^", \t]*+))[ \t]*+(?:,|\Z)')
"""One of a list (RFC 9110, 5.6.1): a tag, or nothing between two commas."""
_UNREADABLE = ""
ANY = "*"


def etag_of(revision: str, document: str) -> str:
    """The ETag header of a resource, with its quotes."""
    return f'"{revision}-{zlib.crc32(document.encode()):08x}"'


def revision_in(value: bytes) -> str:
    """The revision in the If-Match header of a write; empty for `*`, which any revision fits.

    A revision as it stands in a body will do as well. A write has one that it was read at: raises
    INVALID_FIELDS for a list of several.
    """
    expected = _expected(value)
    if expected is None:
        return ""
    revision = expected.pop()
    if expected or not revision or "," in revision or not revision.isprintable():
        raise errors.invalid("If-Match", "must name one revision")
    return revision


def is_known(headers: Mapping[bytes, bytes], tag: str) -> bool:
    """Whether an If-None-Match header says that the client has this representation."""
    sent = headers.get(b"if-none-match")
    return sent is not None and not {ANY, tag}.isdisjoint(_tags_in(sent))


def require_revision(
    headers: Mapping[bytes, bytes], revision: str, resource: str = "resource"
) -> None:
    """Raises ETAG_MISMATCH when a read names other revisions with If-Match, and not this one."""
    sent = headers.get(b"if-match")
    if sent is None:
        return
    expected = _expected(sent)
    if expected is not None and revision not in expected:
        raise EtagMismatch(resource, revision)


def _expected(sent: bytes) -> set[str] | None:
    """The revisions in an If-Match header, at least one; None for any. Raises INVALID_FIELDS."""
    tags = _tags_in(sent)
    if tags == {ANY}:
        return None
    if not tags or ANY in tags or _UNREADABLE in tags:
        raise errors.invalid("If-Match", "must be a list of etags, or `*`")
    return {_without_checksum(tag[1:-1]) for tag in tags}


def _tags_in(sent: bytes) -> set[str]:
    """The tags of a list, each with its quotes, also where it came without."""
    text, at = sent.decode("latin-1"), 0
    tags: set[str] = set()
    while at < len(text):
        element = _ELEMENT.match(text, at)
        if element is None:
            return tags | {_UNREADABLE}
        at = element.end()
        quoted, bare = element.groups()
        if quoted is not None or bare:
            tags.add(ANY if element[0].strip(" \t,") == ANY else f'"{bare or quoted}"')
    return tags


def _without_checksum(text: str) -> str:
    return text[:-9] if _CHECKSUM.fullmatch(text[-9:]) else text
