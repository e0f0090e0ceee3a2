"""Etags that can tell what has changed: a revision, and a digest of each field that it guards.

`7.3f0a9c` is revision 7 of a row whose two guarded fields digest to `3f0` and `a9c`. The revision
alone decides whether a write may go on; the digests name fields that differ, without a history.
One in 4,096 changes is not named, nor what was changed and changed back: refused all the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from chassis.errors import EtagMismatch

DIGEST_CHARS = 3
"""Hexadecimal; short, because a row may guard dozens of fields."""


def etag_of(revision: int, guarded: Mapping[str, object]) -> str:
    """The etag of a row. `guarded` are the fields that callers change, always in one order."""
    return f"{revision}.{''.join(map(_digest, guarded.values()))}"


def require(
    etag: str, resource: str, revision: int, guarded: Mapping[str, object], *, within: str = ""
) -> None:
    """Raises EtagMismatch when `etag` names another revision; an empty one fits any.

    `within` is the field of the request that holds the resource. An etag without digests, or of a
    release that guarded fewer fields, names fewer changes.
    """
    named, _, digests = etag.partition(".")
    if not etag or named == str(revision):
        return
    prefix = f"{within}." if within else ""
    known = (digests[at : at + DIGEST_CHARS] for at in range(0, len(digests), DIGEST_CHARS))
    changed = [
        prefix + name
        for (name, value), digest in zip(guarded.items(), known, strict=False)
        if digest != _digest(value)
    ]
    raise EtagMismatch(resource, etag_of(revision, guarded), changed)


def _digest(value: object) -> str:
    written = json.dumps(value, sort_keys=True, default=str).encode()
    return hashlib.blake2s(written).hexdigest()[:DIGEST_CHARS]
