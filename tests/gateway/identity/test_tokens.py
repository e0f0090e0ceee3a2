"""Access tokens: nothing but our own, unchanged and in its place, is taken for one."""

import base64
import json
from datetime import timedelta
from types import SimpleNamespace

import jwt
import pytest

from chassis import clock
from chassis.caller import Caller, Signer, Verifier
from chassis.errors import Refusal
from gateway.identity.signing_keys import SigningKeys
from gateway.identity.tokens import AUDIENCE, TYPE, AccessTokens

USER = SimpleNamespace(id="u1", account_id="a1", role=SimpleNamespace(value="owner"))
HEADERS = {"kid": "gateway", "typ": TYPE}


@pytest.fixture
def tokens(keys):
    return AccessTokens("gateway", SigningKeys("gateway", keys.gateway))


def _claims(**changes):
    now_s = int(clock.now().timestamp())
    claims = {"iss": "gateway", "aud": AUDIENCE, "sub": "user:u1", "iat": now_s}
    claims |= {"exp": now_s + 60, "account": "a1", "role": "owner", "sid": "s1"}
    return {name: value for name, value in (claims | changes).items() if value is not None}


def _refusal(tokens, token):
    with pytest.raises(Refusal) as caught:
        tokens.verify(token)
    return caught.value


def test_a_token_says_whose_it_is_and_until_when(tokens):
    claims = tokens.verify(tokens.mint(USER, "s1"))
    assert (claims.user_id, claims.account_id) == ("u1", "a1")
    assert claims.expire_time > clock.now() + timedelta(minutes=14)


def test_the_forger_of_these_tests_can_make_a_good_one(tokens, keys):
    assert tokens.verify(_signed(_claims(), keys.gateway)).user_id == "u1"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "tasks"},
        {"aud": ["writer-web", "tasks"]},
        {"aud": None},
        {"iss": "tasks"},
        {"iss": None},
        {"sub": "key:u1"},
        {"sub": "service:gateway"},
        {"sub": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 10**20},
        {"iat": None},
        {"account": None},
        {"account": ["a1"]},
        {"sid": None},
        {"sid": 1},
    ],
    ids=str,
)
def test_a_token_with_other_claims_is_refused(tokens, keys, changes):
    assert _refusal(tokens, _signed(_claims(**changes), keys.gateway)).reason == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "headers",
    [{"typ": "JWT"}, {"typ": None}, {"kid": "tasks"}, {"kid": "unknown"}, {"kid": None}],
    ids=str,
)
def test_a_token_with_another_header_is_refused(tokens, keys, headers):
    token = _signed(_claims(), keys.gateway, **headers)
    assert _refusal(tokens, token).reason == "UNAUTHENTICATED"


def test_another_trusted_process_cannot_sign_for_a_user(tokens, keys):
    for kid in ("gateway", "tasks"):
        token = _signed(_claims(), keys.tasks, kid=kid)
        assert _refusal(tokens, token).reason == "UNAUTHENTICATED"


def test_a_token_without_a_signature_is_refused(tokens):
    unsigned = jwt.encode(_claims(), None, algorithm="none", headers=HEADERS)
    assert _refusal(tokens, unsigned).reason == "UNAUTHENTICATED"
    kept = ".".join([*unsigned.split(".")[:2], tokens.mint(USER, "s1").split(".")[2]])
    assert _refusal(tokens, kept).reason == "UNAUTHENTICATED"


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(tokens, keys):
    secret = keys.gateway.public_key().public_bytes_raw()
    token = jwt.encode(_claims(), secret, algorithm="HS256", headers=HEADERS)
    assert _refusal(tokens, token).reason == "UNAUTHENTICATED"


def test_a_changed_token_is_refused_wherever_it_was_changed(tokens):
    token = tokens.mint(USER, "s1")
    header, claims, signature = token.split(".")
    other = _encode(json.loads(_decode(claims)) | {"account": "a2"})
    for changed in (
        f"{header}.{other}.{signature}",
        f"{header}.{claims}.{signature[:-8]}AAAAAAAA",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        f"{token}.{signature}",
        claims,
        "",
        "é" * 20,
        "\x00",
    ):
        assert _refusal(tokens, changed).reason == "UNAUTHENTICATED"


def test_a_refused_token_is_not_quoted_by_its_refusal(tokens):
    token = tokens.mint(USER, "s1")[:-8] + "AAAAAAAA"
    refusal = _refusal(tokens, token)
    told = f"{refusal!r} {refusal.metadata} {refusal.__cause__!r}"
    assert not any(part in told for part in token.split("."))


def test_a_caller_token_is_not_an_access_token(tokens, keys):
    who = Caller(issuer="gateway", principal="user:u1", account_id="a1", role="owner")
    for audience in ("tasks", AUDIENCE):
        minted = Signer("gateway", keys.gateway).mint(who, audience)
        assert _refusal(tokens, minted).reason == "UNAUTHENTICATED"


def test_an_access_token_is_not_a_caller_token(tokens, keys):
    for audience in ("identity", "tasks", "gateway"):
        with pytest.raises(Refusal) as caught:
            Verifier(keys.trusted, audience).verify(tokens.mint(USER, "s1"))
        assert caught.value.reason == "UNAUTHENTICATED"


def _decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encode(document):
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def _signed(claims, key, **headers):
    """Signs what the library would refuse to sign as well; None leaves a header out."""
    header = {"alg": "EdDSA"} | HEADERS | headers
    header = {name: value for name, value in header.items() if value is not None}
    body = f"{_encode(header)}.{_encode(claims)}"
    signature = base64.urlsafe_b64encode(key.sign(body.encode())).rstrip(b"=").decode()
    return f"{body}.{signature}"
