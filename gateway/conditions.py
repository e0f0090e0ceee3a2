"""What a client already has: `If-None-Match` against the tag of what would be sent."""

from __future__ import annotations


def matches(sent: str | None, tag: str) -> bool:
    """Whether the header names this tag. Tags are compared weakly, as RFC 9110 says for GET."""
    if sent is None:
        return False
    strong = tag.removeprefix("W/")
    tags = [part.strip().removeprefix("W/") for part in sent.split(",")]
    return "*" in tags or strong in tags
