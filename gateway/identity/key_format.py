"""How an API key looks, `wk_<prefix>_<secret>`, and what is kept of it.

The secret has 32 random bytes, so a fast hash is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

MARK = "wk"
PREFIX_BYTES = 5
SECRET_BYTES = 32
KEY_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the only moment at which it is known."""

    key: str = field(repr=False)
    prefix: str
    """Shown in lists, and what a key is found by."""
    secret_hash: str = field(repr=False)


def make_key() -> NewKey:
    """A new random key."""
    prefix = f"{MARK}_{secrets.token_hex(PREFIX_BYTES)}"
    key = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return NewKey(key, prefix, _hash(key))


def prefix_of(key: str) -> str | None:
    """What the key would be found by; None when it is not formed like a key."""
    if len(key) > KEY_CHARS_MAX or not key.isascii():
        return None
    mark, _, rest = key.partition("_")
    prefix, _, secret = rest.partition("_")
    if mark != MARK or len(prefix) != 2 * PREFIX_BYTES or not prefix.isalnum() or not secret:
        return None
    return f"{MARK}_{prefix}"


def matches(key: str, secret_hash: str) -> bool:
    """Whether this is the key that was hashed; takes the same time either way."""
    return hmac.compare_digest(_hash(key), secret_hash)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
