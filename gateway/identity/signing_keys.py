"""The keys of access tokens: one signs, several verify, each known by its `kid`.

The process's own key signs as long as the folder of rotated keys holds none that is old
enough: verifiers outside get the time to fetch a key before they meet its first token.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from chassis import clock
from chassis.ids import new_id
from chassis.keys import load_signing_key, public_jwk, write_signing_key

log = logging.getLogger(__name__)

SIGNS_AFTER = timedelta(minutes=10)
"""Age at which a new key begins to sign; a JWKS may be cached for half of it."""
KEPT_FOR = timedelta(minutes=30)
"""How long a key verifies after its successor began to sign: twice the life of a token."""
KEYS_MAX = 10
"""Keys in the folder that are looked at, the newest first."""
REREAD_S = 30.0
"""How often the folder is looked into; a key that is deleted counts for so long."""
REREAD_UNKNOWN_S = 1.0
"""How often it is looked into because of a token with an unknown `kid`."""
_NAME = re.compile(r"([0-9]{13})-[0-9a-f]{12}")
"""Of a key: the milliseconds at which it was made, so that names sort by age."""


class TooManyKeys(Exception):
    """So many rotations in so little time that keys would be dropped while they are needed."""


class SigningKey(NamedTuple):
    """A private key and the name under which verifiers know its public half."""

    kid: str
    key: Ed25519PrivateKey


class SigningKeys:
    """The keys of one process, read anew from the folder now and then."""

    def __init__(self, own_kid: str, own: Ed25519PrivateKey, folder: Path | None = None) -> None:
        self._own = SigningKey(own_kid, own)
        self._folder = folder
        self._rotated: Mapping[str, Ed25519PrivateKey] = {}
        self._read_s: float | None = None

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        self._reread(REREAD_S)
        old_enough = clock.now() - SIGNS_AFTER
        for kid in sorted(self._rotated, reverse=True):
            if _made(kid) <= old_enough:
                return SigningKey(kid, self._rotated[kid])
        return self._own

    def public(self, kid: str) -> Ed25519PublicKey | None:
        """The key that verifies tokens with this `kid`, if it is one of ours."""
        self._reread(REREAD_S)
        if kid not in self._known():
            self._reread(REREAD_UNKNOWN_S)
        key = self._known().get(kid)
        return None if key is None else key.public_key()

    def jwks(self) -> bytes:
        """All public keys as a JWKS."""
        self._reread(REREAD_S)
        known = self._known()
        keys = [public_jwk(kid, known[kid].public_key()) | {"alg": "EdDSA"} for kid in known]
        return json.dumps({"keys": keys}).encode()

    def _known(self) -> dict[str, Ed25519PrivateKey]:
        return {self._own.kid: self._own.key, **self._rotated}

    def _reread(self, every_s: float) -> None:
        now_s = clock.elapsed_s()
        if self._folder is None or (self._read_s is not None and now_s - self._read_s < every_s):
            return
        self._read_s = now_s
        # Keys that are known are not parsed again: this happens beside calls.
        found = {kid: self._rotated.get(kid) or self._load(kid) for kid in _kids(self._folder)}
        self._rotated = {kid: key for kid, key in found.items() if key is not None}

    def _load(self, kid: str) -> Ed25519PrivateKey | None:
        assert self._folder is not None
        try:
            return load_signing_key(self._folder / f"{kid}.pem")
        except (OSError, ValueError) as error:
            # The others go on to work; a key that is gone was deleted a moment ago.
            log.warning("a signing key cannot be read", extra={"kid": kid, "error": repr(error)})
            return None


def rotate(folder: Path) -> str:
    """Adds a key and removes those that nothing needs any more; returns the new `kid`.

    Raises TooManyKeys when keys that are still needed would be passed over.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = clock.now()
    kids = _kids(folder)
    for kid, successor in pairwise(kids):
        if _made(successor) + SIGNS_AFTER + KEPT_FOR <= now:
            (folder / f"{kid}.pem").unlink(missing_ok=True)
    if len(_kids(folder)) >= KEYS_MAX:
        raise TooManyKeys
    kid = f"{round(now.timestamp() * 1000):013d}-{new_id()[-12:]}"
    write_signing_key(folder / f"{kid}.pem", Ed25519PrivateKey.generate())
    return kid


def _kids(folder: Path) -> list[str]:
    """Names of the keys in a folder, the oldest first; a folder that is not there has none."""
    found = sorted(path.stem for path in folder.glob("*.pem") if _NAME.fullmatch(path.stem))
    return found[-KEYS_MAX:]


def _made(kid: str) -> datetime:
    return datetime.fromtimestamp(int(kid.partition("-")[0]) / 1000, UTC)
