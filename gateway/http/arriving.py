"""Where in a request a connection is, and how much has come of it that is no body."""

from __future__ import annotations

from enum import Enum, auto

FRAME_BYTES_MAX = 6
"""Around each byte of a body that comes in the smallest chunks."""


class Place(Enum):
    """What the next byte belongs to."""

    BETWEEN = auto()
    """Nothing has come of the next request."""
    HEAD = auto()
    BODY = auto()
    """Of the request that was read last, which may be answered already; its frames, too."""


class Arriving:
    """Counts what comes: the parser bounds neither a head, nor what is around a body."""

    __slots__ = ("_body_bytes", "_frame_bytes", "_head_bytes", "_head_bytes_max", "place")

    def __init__(self, head_bytes_max: int) -> None:
        self.place = Place.BETWEEN
        self._head_bytes_max = head_bytes_max
        self._head_bytes = 0
        self._body_bytes = 0
        self._frame_bytes = 0

    def take(self, size: int) -> None:
        """So many bytes have come, whatever they are."""
        if self.place is Place.BODY:
            self._frame_bytes += size
        else:
            self._head_bytes += size

    def begin(self) -> None:
        """They were the beginning of a request."""
        self.place, self._head_bytes = Place.HEAD, 0

    def end_head(self) -> None:
        """What comes now is its body."""
        self.place = Place.BODY
        self._body_bytes = self._frame_bytes = 0

    def take_body(self, size: int) -> None:
        """So many of the bytes were body."""
        self._body_bytes += size
        self._frame_bytes -= size

    def end(self) -> None:
        """The request has come to its end."""
        self.place, self._head_bytes = Place.BETWEEN, 0

    def is_too_much(self) -> bool:
        """Whether a head is too long, or so much is around a body that it is no body."""
        if self.place is Place.BODY:
            frames_max = self._head_bytes_max + FRAME_BYTES_MAX * self._body_bytes
            return self._frame_bytes > frames_max
        return self._head_bytes > self._head_bytes_max
