"""Key pairs of the processes: each signs with its own, all know the public halves.

The trusted keys are a JWKS file whose key ids are the names of the issuers, so that a
token tells which key must have signed it, and no process can speak for another.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

TRUSTED = "trusted.json"


def create_keys(directory: Path, issuers: Iterable[str]) -> None:
    """Makes what is missing: `<issuer>.pem`, readable by the owner only, and the JWKS of all."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = []
    for issuer in issuers:
        path = directory / f"{issuer}.pem"
        if not path.exists():
            write_signing_key(path, Ed25519PrivateKey.generate())
        keys.append(public_jwk(issuer, load_signing_key(path).public_key()))
    fresh = _written_aside(directory / TRUSTED, json.dumps({"keys": keys}, indent=1).encode())
    fresh.chmod(0o644)
    fresh.replace(directory / TRUSTED)


def load_signing_key(path: str | Path) -> Ed25519PrivateKey:
    """Reads a private key. Raises ValueError when it is not an Ed25519 key."""
    try:
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a private key without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is not an Ed25519 key")  # noqa: TRY004  a bad file, no bad call
    return key


def load_trusted_keys(path: str | Path) -> Mapping[str, Ed25519PublicKey]:
    """Reads the public keys by issuer."""
    document = json.loads(Path(path).read_text())
    return {key["kid"]: _public(key["x"]) for key in document["keys"]}


def public_jwk(kid: str, key: Ed25519PublicKey) -> dict[str, str]:
    """The public key as a member of a JWKS (RFC 8037)."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x, "use": "sig"}


def write_signing_key(path: Path, key: Ed25519PrivateKey) -> None:
    """Writes a private key, readable by the owner only; one that is there stays."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    fresh = _written_aside(path, pem)
    # A link, because it never replaces: of two that make keys at once, one's key stays.
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(fresh)
    fresh.unlink()


def _public(x: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))


def _written_aside(path: Path, content: bytes) -> Path:
    """A whole file beside `path`, readable by the owner only: nobody meets a half-written one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return Path(name)
