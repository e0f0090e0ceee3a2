"""Keys of access tokens: a new one is known before it signs, an old one as long as it is needed."""

import json
from datetime import timedelta
from types import SimpleNamespace

import jwt
import pytest

from chassis import clock, keys
from chassis.errors import Refusal
from gateway.identity import signing_keys
from gateway.identity.__main__ import main
from gateway.identity.signing_keys import KEYS_MAX, SigningKeys, TooManyKeys, rotate
from gateway.identity.tokens import AccessTokens

USER = SimpleNamespace(id="u1", account_id="a1", role=SimpleNamespace(value="owner"))
MINUTE = timedelta(minutes=1)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "access"


@pytest.fixture
def known(keys, folder, monkeypatch):
    monkeypatch.setattr(signing_keys, "REREAD_S", 0)
    return SigningKeys("gateway", keys.gateway, folder)


def later(duration):
    start = clock.now()
    return clock.frozen(lambda: start + duration)


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


def test_the_key_of_the_process_signs_until_a_rotated_one_is_old_enough(known, folder):
    tokens = AccessTokens("gateway", known)
    first = tokens.mint(USER, "s1")
    assert kid_of(first) == "gateway"
    kid = rotate(folder)
    assert kid_of(tokens.mint(USER, "s1")) == "gateway"
    assert {key["kid"] for key in json.loads(known.jwks())["keys"]} == {"gateway", kid}
    with later(9 * MINUTE):
        assert kid_of(tokens.mint(USER, "s1")) == "gateway"
    with later(11 * MINUTE):
        second = tokens.mint(USER, "s1")
        assert kid_of(second) == kid
        # Tokens of the key before go on to work.
        assert tokens.verify(first).user_id == "u1"
        assert tokens.verify(second).user_id == "u1"


def test_whoever_has_the_jwks_can_verify_a_token(known, folder):
    rotate(folder)
    with later(11 * MINUTE):
        token = AccessTokens("gateway", known).mint(USER, "s1")
        [key] = [each for each in json.loads(known.jwks())["keys"] if each["kid"] == kid_of(token)]
    public = jwt.PyJWK(key).key
    claims = jwt.decode(
        token, public, algorithms=["EdDSA"], audience="writer-web", options={"verify_iat": False,
        "verify_exp": False},
    )  # fmt: skip
    assert claims["sub"] == "user:u1"
    assert "d" not in key


def test_another_process_finds_a_key_that_it_has_not_met(keys, folder, monkeypatch):
    monkeypatch.setattr(signing_keys, "REREAD_UNKNOWN_S", 0)
    one, other = (SigningKeys("gateway", keys.gateway, folder) for _ in range(2))
    other.jwks()
    rotate(folder)
    with later(11 * MINUTE):
        token = AccessTokens("gateway", one).mint(USER, "s1")
        assert AccessTokens("gateway", other).verify(token).user_id == "u1"


def test_a_key_is_removed_when_its_last_token_has_expired_and_not_before(folder):
    first = rotate(folder)
    with later(20 * MINUTE):
        second = rotate(folder)
    with later(59 * MINUTE):
        third = rotate(folder)
    assert names(folder) == {first, second, third}
    with later(61 * MINUTE):
        fourth = rotate(folder)
    assert names(folder) == {second, third, fourth}


def test_rotating_too_often_is_refused_before_a_key_in_use_is_lost(folder):
    for _ in range(KEYS_MAX):
        rotate(folder)
    with pytest.raises(TooManyKeys):
        rotate(folder)
    assert len(names(folder)) == KEYS_MAX


def test_a_deleted_key_verifies_nothing_any_more(known, folder):
    kid = rotate(folder)
    tokens = AccessTokens("gateway", known)
    with later(11 * MINUTE):
        token = tokens.mint(USER, "s1")
        (folder / f"{kid}.pem").unlink()
        with pytest.raises(Refusal) as caught:
            tokens.verify(token)
        assert caught.value.reason == "UNAUTHENTICATED"
        assert kid_of(tokens.mint(USER, "s1")) == "gateway"


def test_what_is_no_key_is_passed_over(known, folder):
    kid = rotate(folder)
    (folder / "notes.pem").write_text("not a key")
    (folder / f"{kid[:-1]}{'0' if kid[-1] != '0' else '1'}.pem").write_text("not a key")
    assert {key["kid"] for key in json.loads(known.jwks())["keys"]} == {"gateway", kid}


def test_a_key_is_readable_by_its_owner_only(folder):
    kid = rotate(folder)
    assert (folder / f"{kid}.pem").stat().st_mode & 0o077 == 0
    assert keys.load_signing_key(folder / f"{kid}.pem")


def test_the_command_says_what_it_did(folder, capsys):
    assert main(["rotate-keys", str(folder)]) == 0
    [kid] = names(folder)
    assert capsys.readouterr().out == f"{kid} signs in 10 minutes\n"
    for _ in range(KEYS_MAX - 1):
        rotate(folder)
    assert main(["rotate-keys", str(folder)]) == 1
    assert "wait" in capsys.readouterr().err


def names(folder):
    return {path.stem for path in folder.glob("*.pem")}
