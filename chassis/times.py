"""Times in contracts."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86_400


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """The time as a message; absent stays absent."""
    if moment is None:
        return None
    # As FromDatetime, at a quarter of its cost: a page of a list has hundreds.
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * _DAY_S + since.seconds, nanos=since.microseconds * 1_000)
