"""Parts of a file: the `Range` header (RFC 9110, section 14), one range at a time.

Several ranges, other units and what is not understood mean the whole file, as the standard
allows; only a range that lies behind the end is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chassis.errors import Kind, Refusal

_ONE = re.compile(rb"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file, both ends included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def content_range(self, total: int) -> bytes:
        """As the answer names it."""
        return b"bytes %d-%d/%d" % (self.first, self.last, total)


class RangeNotSatisfiable(Refusal):
    """The range begins behind the end of the file."""

    def __init__(self, total: int) -> None:
        super().__init__(
            Kind.INVALID_ARGUMENT,
            "RANGE_NOT_SATISFIABLE",
            f"The file has {total} bytes.",
            metadata={"content_range": f"bytes */{total}"},
        )


def span_of(headers: Mapping[bytes, bytes], total: int, tag: str) -> Span | None:
    """The bytes that are asked for; None for the whole file. Raises RangeNotSatisfiable.

    `If-Range` must name exactly this file, else its owner has an older one and gets the whole.
    """
    sent = headers.get(b"range")
    condition = headers.get(b"if-range")
    if sent is None or (condition is not None and condition.strip() != tag.encode()):
        return None
    one = _ONE.fullmatch(sent)
    if one is None or one[1] == one[2] == b"":
        return None
    if one[1] == b"":
        length = int(one[2])
        if length == 0 or total == 0:
            raise RangeNotSatisfiable(total)
        return Span(max(0, total - length), total - 1)
    first = int(one[1])
    last = int(one[2]) if one[2] else total - 1
    if one[2] and last < first:
        return None
    if first >= total:
        raise RangeNotSatisfiable(total)
    return Span(first, min(last, total - 1))
