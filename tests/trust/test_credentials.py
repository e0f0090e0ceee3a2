"""Every RPC and every route without a good credential: refused, told nothing, nothing done.

Each call is complete and about the account's own things: with a good credential it would count.
"""

import base64
import json
from datetime import UTC, datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from trust.contract import methods
from trust.filling import fields
from trust.matrix import faults_of, of_tenant, require_none
from trust.routes import STREAMS

from chassis import ids
from chassis.caller import TOKEN_KEY
from chassis.keys import load_signing_key

REFUSED = {"UNAUTHENTICATED", "TOKEN_EXPIRED"}


def part(token, number):
    text = token.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def joined(*parts):
    texts = (json.dumps(each).encode() if isinstance(each, dict) else each for each in parts)
    return ".".join(base64.urlsafe_b64encode(text).rstrip(b"=").decode() for text in texts)


class Forger:
    """Makes of a good token what must not count. `keys` are the processes' own."""

    def __init__(self, good, keys):
        self._head, self._claims = part(good, 0), part(good, 1)
        self._keys = keys
        self.good = good

    def signed(self, key=None, head=None, **claims):
        changed = {k: v for k, v in {**self._claims, **claims}.items() if v is not None}
        headers = {"typ": self._head["typ"], "kid": self._head["kid"], **(head or {})}
        return jwt.encode(changed, key or self._keys["gateway"], algorithm="EdDSA", headers=headers)

    def all(self):
        """Tokens by what is wrong with them."""
        now = int(datetime.now(UTC).timestamp())
        public = self._keys["gateway"].public_key()
        secret = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        headers = self._head | {"alg": "HS256"}
        shared = jwt.encode(self._claims, secret, algorithm="HS256", headers=headers)
        head, payload, signature = self.good.split(".")
        return {
            "garbage": "x.y.z",
            "no signature": f"{head}.{payload}.",
            "another's signature": f"{head}.{payload}.{signature[::-1]}",
            "alg none": joined({**self._head, "alg": "none"}, self._claims, b""),
            "a shared secret": shared,
            "expired": self.signed(iat=now - 1_000, exp=now - 1),
            "without an end": self.signed(exp=None),
            "wrong audience": self.signed(aud="nobody"),
            "wrong issuer": self.signed(iss="content"),
            "a key of nobody": self.signed(Ed25519PrivateKey.generate()),
            "a key of a service": self.signed(self._keys["tasks"]),
            "an unknown kid": self.signed(head={"kid": ids.new_id()}),
        }


@pytest.fixture
def keys(ground):
    return {
        name: load_signing_key(ground.stack.place.keys / f"{name}.pem")
        for name in ("gateway", "tasks")
    }


def authorizations(ground, keys):
    """Headers by what is wrong with them."""
    tenant = ground.trying
    token, key = tenant.people["owner"]["access_token"], tenant.keys["admin"]
    caller_token = ground.wire.token(tenant.caller("owner"), "tasks")
    forged = Forger(token, keys).all()
    return {
        **{name: f"Bearer {each}" for name, each in forged.items()},
        "nothing": "",
        "the token of a call": f"Bearer {caller_token}",
        "another scheme": f"Basic {token}",
        "no scheme": token,
        "a token as a key": f"ApiKey {token}",
        "a key as a token": f"Bearer {key}",
        "a key with another end": f"ApiKey {key[:-1]}{'A' if key[-1] != 'A' else 'B'}",
        "a key of nobody": "ApiKey wk_0123456789_" + "A" * 43,
    }


async def test_the_forger_can_make_what_counts(ground, keys):
    method = next(each for each in methods() if each.name == "GetAccount")
    tenant = ground.trying
    token = Forger(tenant.people["owner"]["access_token"], keys).signed()
    assert (await ground.rest.call(method, {}, f"Bearer {token}")).code == "OK"
    token = Forger(ground.wire.token(tenant.caller("owner"), method.peer), keys).signed()
    assert (await ground.wire.call_with(method, {}, ((TOKEN_KEY, token),))).code == "OK"


async def test_rest_answers_nobody_without_a_good_credential(ground, keys, untouched):
    wrong = authorizations(ground, keys)

    async def find(method):
        filled = fields(method, of_tenant(ground.trying, method))
        scope = ground.trying.account.scope if method.policy.needs_sector else {}
        answers = {
            name: await ground.rest.call(method, filled, each, query=scope)
            for name, each in wrong.items()
        }
        return [f"{name}: {each}" for name, each in answers.items() if each.code not in REFUSED]

    protected = [each for each in methods() if each.verb and each.level != "public"]
    require_none(await faults_of([*protected, *STREAMS], find))


async def test_a_public_route_answers_alike_whatever_the_credential(ground, keys, untouched):
    wrong = authorizations(ground, keys)

    async def find(method):
        said = {(await ground.rest.call(method, {}, each)).said for each in wrong.values()}
        return [] if len(said) == 1 else list(said)

    public = [each for each in methods() if each.verb and each.level == "public"]
    require_none(await faults_of(public, find))


async def test_no_service_answers_without_the_token_of_a_trusted_caller(ground, keys, untouched):
    forged = {}
    for peer in {method.peer for method in methods()}:
        forger = Forger(ground.wire.token(ground.trying.caller("owner"), peer), keys)
        elsewhere = "billing" if peer != "billing" else "tasks"
        as_user = {"iss": "tasks", "role": "owner"}
        forged[peer] = {
            **forger.all(),
            "for another service": ground.wire.token(ground.trying.caller("owner"), elsewhere),
            "a service that speaks for a user": forger.signed(
                keys["tasks"], {"kid": "tasks"}, **as_user
            ),
            "the token of a user": ground.trying.people["owner"]["access_token"],
            "nothing": "",
        }
        good = ((TOKEN_KEY, forger.good),)
        forged[peer]["two at once"] = good * 2

    async def find(method):
        filled = fields(method, of_tenant(ground.trying, method))
        found = []
        for name, each in forged[method.peer].items():
            metadata = each if isinstance(each, tuple) else ((TOKEN_KEY, each),) if each else ()
            answer = await ground.wire.call_with(method, filled, metadata)
            if answer.code not in REFUSED:
                found.append(f"{name}: {answer}")
        return found

    require_none(await faults_of(methods(), find))
