"""What was done, by whom, to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

REASON_CHARS_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something that is being done to an object of an account."""

    action: str
    """Object and past participle, such as `user.deactivated`."""
    object_id: str
    before: Mapping[str, Any] = field(default_factory=dict)
    """The changed fields as they were, without secrets."""
    after: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def object_type(self) -> str:
        """What the action is about."""
        return self.action.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Something that was done."""

    id: str
    deed: Deed
    actor: str
    acting_for: str
    client_address: str
    request_id: str
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries somebody wants to see; empty and None leave nothing out."""

    action: str = ""
    actor: str = ""
    object_id: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
