"""Tokens that are looked up: `<mark>_<id>_<secret>`, and what is kept of them.

The secret has 32 random bytes, or follows from one that has; so a fast hash is enough.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

REFRESH = "wr"
INVITATION = "wi"
SECRET_BYTES = 32
_FORM = re.compile(r"([a-z]{2})_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_([A-Za-z0-9_-]{43})")


class Presented(NamedTuple):
    """The parts of a token that somebody shows."""

    id: str
    secret: str


def new_secret() -> str:
    """A random secret."""
    return secrets.token_urlsafe(SECRET_BYTES)


def new_salt() -> str:
    """What, together with a secret, the next one follows from."""
    return secrets.token_hex(SECRET_BYTES)


def following(secret: str, salt: str) -> str:
    """The next secret of a chain: always the same one, and unknown to who knows the salt alone."""
    digest = hmac.new(secret.encode(), salt.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def written(mark: str, row_id: str, secret: str) -> str:
    """The token as it is handed out."""
    return f"{mark}_{row_id}_{secret}"


def read(mark: str, text: str) -> Presented | None:
    """The parts of a token with this mark; None when it is not formed like one."""
    found = _FORM.fullmatch(text)
    if found is None or found[1] != mark:
        return None
    return Presented(found[2], found[3])


def kept(secret: str) -> str:
    """The hash under which a secret is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, secret_hash: str) -> bool:
    """Whether this is the secret that was hashed; takes the same time either way."""
    return hmac.compare_digest(kept(secret), secret_hash)
