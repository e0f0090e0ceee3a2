"""The only maker of ids."""

from __future__ import annotations

import uuid

import uuid_utils

# Namespace of ids that are derived from others; changing it would break idempotency of stored rows.
_DERIVED = uuid.UUID("5f0c2a52-7d0e-4a59-9a43-5d1a51a2b0f6")


def new_id() -> str:
    """A new UUIDv7: sortable by the millisecond in which it was made."""
    return str(uuid_utils.uuid7())


def derived_id(*parts: str) -> str:
    """The same id for the same parts, wherever and however often it is asked for (UUIDv5)."""
    return str(uuid.uuid5(_DERIVED, "\x1f".join(parts)))
