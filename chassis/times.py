"""Times in contracts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86_400


def to_timestamp(moment: datetime | None) -> Any:
    """The time as what a Timestamp of a new message is made of; absent stays absent."""
    if moment is None:
        return None
    # As fields: a message would be serialized and parsed to be copied, and a page has hundreds.
    since = moment - _EPOCH
    return {"seconds": since.days * _DAY_S + since.seconds, "nanos": since.microseconds * 1_000}
