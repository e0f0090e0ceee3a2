"""Tokens: who is believed, for which service, for how long, and who is not."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from support.serving import anonymous, service, signer, signing_keys, trusted_keys, user

from chassis import caller, clock
from chassis.caller import Caller, Verifier
from chassis.errors import Unauthenticated

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
CALLERS = [
    user(),
    user("acme", "editor", site_id="s", sector_id="t", sector_name="Ä\n", allowed_sites=("s",)),
    user(role="viewer", allowed_sites=()),
    user(role="developer", acting_for="operators", session_id="1"),
    user(principal="key:1", key_prefix="wk_ab12"),
    anonymous(),
    Caller.service("gateway", account_id="acme"),
    service("tasks", site_id="s", sector_id="t"),
]


@pytest.fixture
def time():
    """A clock that stands still until it is set."""

    class Time:
        now = NOW

    with clock.frozen(lambda: Time.now):
        yield Time


@pytest.fixture
def verifier():
    return Verifier(trusted_keys(), audience="tasks")


def claims(**changes):
    """What a good token of the gateway says, with changes; None takes a claim away."""
    good = {
        "iss": "gateway",
        "aud": "tasks",
        "sub": "user:1",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 60,
        "account": "acme",
        "role": "owner",
    }
    return {key: value for key, value in (good | changes).items() if value is not None}


def token(changes=None, *, key=None, kid="gateway", algorithm="EdDSA"):
    key = signing_keys()["gateway"] if key is None else key
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**(changes or {})), key, algorithm=algorithm, headers=headers)


def unsigned(header):
    parts = [json.dumps(part).encode() for part in (header, claims())]
    head, body = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    return f"{head}.{body}."


def public_pem():
    return trusted_keys()["gateway"].public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def public_raw():
    return trusted_keys()["gateway"].public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )


def signed_with_the_public_key(key):
    """An HS256 token; made by hand, because the library refuses to make one."""
    import hashlib
    import hmac

    header = unsigned({"alg": "HS256", "typ": "JWT", "kid": "gateway"}).rstrip(".")
    digest = hmac.new(key, header.encode(), hashlib.sha256).digest()
    return f"{header}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@pytest.mark.parametrize("who", CALLERS, ids=lambda who: f"{who.issuer}-{who.principal}")
def test_whoever_is_vouched_for_arrives_as_he_was_sent(who, verifier):
    assert verifier.verify(signer(who.issuer).mint(who, "tasks")) == who


def test_request_and_trace_travel_beside_the_token(verifier):
    who = user(request_id="r", traceparent="t")
    assert verifier.verify(signer().mint(who, "tasks")) == replace(
        who, request_id="", traceparent=""
    )


def test_no_process_vouches_for_a_caller_of_another():
    with pytest.raises(ValueError, match="content cannot vouch"):
        signer("content").mint(user(), "tasks")
    with pytest.raises(ValueError, match="content cannot vouch"):
        signer("content").mint(service("tasks"), "tasks")


@pytest.mark.usefixtures("time")
class TestForgery:
    def test_a_good_token_is_good(self, verifier):
        assert verifier.verify(token()).principal == "user:1"

    @pytest.mark.parametrize(
        "forged",
        [
            pytest.param(lambda: "", id="nothing"),
            pytest.param(lambda: "a.b.c", id="rubbish"),
            pytest.param(lambda: "é" * 40, id="letters that no token has"),
            pytest.param(lambda: token() + "x", id="continued"),
            pytest.param(lambda: token()[:-4], id="cut"),
            pytest.param(lambda: unsigned({"alg": "none"}), id="unsigned"),
            pytest.param(lambda: unsigned({"alg": "none", "kid": "gateway"}), id="unsigned, named"),
            pytest.param(lambda: unsigned({"alg": "EdDSA", "kid": "gateway"}), id="no signature"),
            pytest.param(lambda: signed_with_the_public_key(public_pem()), id="HS256, PEM"),
            pytest.param(lambda: signed_with_the_public_key(public_raw()), id="HS256, raw"),
            pytest.param(
                lambda: token(key=rsa.generate_private_key(65537, 2048), algorithm="RS256"),
                id="RS256",
            ),
            pytest.param(lambda: token(key=Ed25519PrivateKey.generate()), id="a stranger's key"),
            pytest.param(lambda: token(key=signing_keys()["content"]), id="a service's key"),
            pytest.param(
                lambda: token(key=signing_keys()["content"], kid="content"),
                id="a service that says it is the gateway",
            ),
            pytest.param(lambda: token(kid="nobody"), id="an unknown key"),
            pytest.param(lambda: token(kid=None), id="no key named"),
            pytest.param(lambda: token({"aud": "billing"}), id="for another service"),
            pytest.param(lambda: token({"iss": "content"}), id="another issuer than the key's"),
            *(
                pytest.param(lambda name=name: token({name: None}), id=f"without {name}")
                for name in ("iss", "aud", "sub", "iat", "exp")
            ),
            pytest.param(lambda: token({"account": 5}), id="an account that is a number"),
            pytest.param(lambda: token({"role": ["owner"]}), id="a role that is a list"),
            pytest.param(lambda: token({"sites": "all"}), id="sites that are a text"),
            pytest.param(lambda: token({"exp": "soon"}), id="an end that is a text"),
        ],
    )
    def test_no_forged_token_is_believed(self, verifier, forged):
        with pytest.raises(Unauthenticated) as caught:
            verifier.verify(forged())
        assert caught.value.reason == "UNAUTHENTICATED"

    @pytest.mark.parametrize(
        "changes",
        [
            {"sub": "user:1", "role": ""},
            {"sub": "service:tasks", "role": ""},
            {"sub": "service:content", "role": "owner"},
            {"sub": "service:gateway", "role": ""},
            {"sub": "anonymous", "role": ""},
        ],
    )
    def test_a_service_speaks_for_nobody_but_itself(self, verifier, changes):
        signed = token({"iss": "content"} | changes, key=signing_keys()["content"], kid="content")
        with pytest.raises(Unauthenticated):
            verifier.verify(signed)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(min_value=0, max_value=10_000), st.characters(codec="ascii"))
    def test_a_token_with_a_changed_letter_is_not_believed(self, place, letter):
        with clock.frozen(lambda: NOW):
            good = token()
            place %= len(good) - 1  # the last letter has spare bits
            changed = good[:place] + letter + good[place + 1 :]
            if changed != good:
                with pytest.raises(Unauthenticated):
                    Verifier(trusted_keys(), audience="tasks").verify(changed)


class TestTime:
    def test_a_token_ends(self, verifier, time):
        minted = signer().mint(user(), "tasks")
        time.now = NOW + caller.TOKEN_LIFE - timedelta(seconds=1)
        assert verifier.verify(minted)
        time.now = NOW + caller.TOKEN_LIFE
        with pytest.raises(Unauthenticated) as caught:
            Verifier(trusted_keys(), audience="tasks").verify(minted)
        assert caught.value.reason == "TOKEN_EXPIRED"

    def test_a_remembered_token_ends_as_well(self, verifier, time):
        minted = signer().mint(user(), "tasks")
        verifier.verify(minted)
        time.now = NOW + caller.TOKEN_LIFE
        with pytest.raises(Unauthenticated) as caught:
            verifier.verify(minted)
        assert caught.value.reason == "TOKEN_EXPIRED"

    def test_a_clock_that_is_behind_the_issuers_believes_him(self, verifier, time):
        minted = signer().mint(user(), "tasks")
        time.now = NOW - timedelta(minutes=1)
        assert verifier.verify(minted)

    def test_a_token_is_used_again_until_it_nears_its_end(self, time):
        issuer = signer()
        first = issuer.mint(user(request_id="1"), "tasks")
        assert issuer.mint(user(request_id="2"), "tasks") == first
        assert issuer.mint(user(), "billing") != first
        assert issuer.mint(user(role="viewer"), "tasks") != first
        time.now = NOW + caller.TOKEN_LIFE - caller.RENEW_BEFORE
        assert issuer.mint(user(), "tasks") != first

    def test_memory_is_bounded_on_both_sides(self, verifier, monkeypatch):
        monkeypatch.setattr(caller, "CACHE_MAX", 3)
        issuer = signer()
        for number in range(10):
            verifier.verify(issuer.mint(user(str(number)), "tasks"))
        assert len(issuer._minted) == len(verifier._verified) == 3
