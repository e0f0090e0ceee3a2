"""What every contract must declare, and that the gateway can serve all of them as written."""

import re
from collections import Counter

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.caller import Signer
from gateway.admission.counters import MemoryCounter
from gateway.admission.throttles import PER_MINUTE, Throttles
from gateway.app import build_app, build_upstream
from gateway.contracts import load_contracts

CONTRACTS = load_contracts()
PEERS = ("tasks", "content", "images", "billing", "identity")


@pytest.mark.parametrize("method", CONTRACTS.methods, ids=lambda method: method.path)
def test_every_method_declares_who_may_call_it(method):
    assert method.access != "level_unspecified"
    assert method.http_status in {200, 201, 202, 204}


@pytest.mark.parametrize("method", CONTRACTS.methods, ids=lambda method: method.path)
def test_only_methods_that_no_user_may_call_or_that_stream_lack_a_route(method):
    bound = any(binding.method == method for binding in CONTRACTS.bindings)
    assert bound == (method.access != "internal" and method.kind == "unary")


def test_every_verb_and_template_is_declared_once():
    counted = Counter((binding.verb, binding.template) for binding in CONTRACTS.bindings)
    assert [pair for pair, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("binding", CONTRACTS.bindings, ids=lambda binding: binding.template)
def test_every_route_is_under_the_versioned_base_and_has_a_throttle(binding):
    assert binding.template.startswith("/api/v1/")
    assert not binding.template.endswith("/")
    assert Throttles(MemoryCounter()).scope_of(binding.method, binding.verb) in PER_MINUTE
    assert (binding.body == "") == (binding.verb in {"GET", "DELETE"})


@pytest.mark.parametrize("binding", CONTRACTS.bindings, ids=lambda binding: binding.template)
def test_whatever_makes_something_takes_an_idempotency_key(binding):
    if binding.verb == "POST" and binding.method.http_status in {201, 202}:
        # A token that makes one thing once is as good as a key.
        fields = {field.name for field in binding.method.request.fields}
        assert fields & {"request_id", "token"}


async def test_every_unary_binding_becomes_a_route():
    upstream = build_upstream(
        CONTRACTS,
        dict.fromkeys(PEERS, "127.0.0.1:1"),
        Signer("gateway", Ed25519PrivateKey.generate()),
    )
    app = build_app(CONTRACTS, upstream, authenticator=None, scopes=None)
    for binding in CONTRACTS.bindings:
        found = app._app.routes.find(
            binding.verb, re.sub(r"\{[a-z_]+\}", "some-id", binding.template)
        )
        assert found is not None
        assert found[0].method == binding.method
    await upstream.close()
