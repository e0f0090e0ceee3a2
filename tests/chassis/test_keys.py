"""Key pairs: made once, private to their owner, and known to all by the issuer's name."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from chassis.caller import Caller, Signer, Verifier
from chassis.keys import TRUSTED, create_keys, load_signing_key, load_trusted_keys


def test_what_one_signs_all_can_verify(tmp_path):
    create_keys(tmp_path / "keys", ["tasks", "billing"])
    key = load_signing_key(tmp_path / "keys" / "tasks.pem")
    who = Caller.service("tasks", account_id="acme")
    trusted = load_trusted_keys(tmp_path / "keys" / TRUSTED)
    assert set(trusted) == {"tasks", "billing"}
    assert Verifier(trusted, "billing").verify(Signer("tasks", key).mint(who, "billing")) == who


def test_keys_that_are_there_are_kept(tmp_path):
    create_keys(tmp_path, ["tasks"])
    before = (tmp_path / "tasks.pem").read_bytes()
    create_keys(tmp_path, ["tasks", "images"])
    assert (tmp_path / "tasks.pem").read_bytes() == before
    assert set(load_trusted_keys(tmp_path / TRUSTED)) == {"tasks", "images"}


def test_nobody_else_can_read_a_private_key(tmp_path):
    create_keys(tmp_path / "keys", ["tasks"])
    assert stat.S_IMODE((tmp_path / "keys" / "tasks.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys" / TRUSTED).stat().st_mode) == 0o644
    assert "PRIVATE" not in (tmp_path / "keys" / TRUSTED).read_text()


def test_no_private_part_is_in_the_trusted_keys(tmp_path):
    create_keys(tmp_path, ["tasks"])
    [key] = json.loads((tmp_path / TRUSTED).read_text())["keys"]
    assert set(key) == {"kty", "crv", "kid", "x", "use"}


def test_several_that_make_keys_at_once_agree(tmp_path):
    names = ["tasks", "content", "images", "billing"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: create_keys(tmp_path, names), range(8)))
    trusted = load_trusted_keys(tmp_path / TRUSTED)
    for name in names:
        public = load_signing_key(tmp_path / f"{name}.pem").public_key()
        assert public.public_bytes_raw() == trusted[name].public_bytes_raw()


def test_the_trusted_keys_are_never_seen_half_written(tmp_path):
    names = [f"issuer-{number}" for number in range(20)]
    create_keys(tmp_path, names)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [create_keys(tmp_path, names) for _ in range(20)])
        while not writing.done():
            assert len(load_trusted_keys(tmp_path / TRUSTED)) == 20
        writing.result()


@pytest.mark.parametrize("kind", ["rubbish", "rsa", "encrypted"])
def test_a_key_of_no_use_is_refused_by_name(tmp_path, kind):
    path = tmp_path / "tasks.pem"
    if kind == "rubbish":
        path.write_text("rubbish")
    elif kind == "rsa":
        key = rsa.generate_private_key(65537, 2048)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    else:
        create_keys(tmp_path, ["tasks"])
        secret = load_signing_key(path)
        protection = BestAvailableEncryption(b"secret")
        path.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    with pytest.raises(ValueError, match=r"tasks\.pem"):
        load_signing_key(path)
