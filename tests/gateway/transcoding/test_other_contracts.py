"""Contracts that a later release may bring: the gateway serves them without a change."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import descriptor_pb2
from support.things import DELETE, FIND, PACKAGE, UPDATE, Anyone, gateway_of, image, method
from writer.options.v1 import options_pb2

from chassis.caller import Signer
from gateway.app import build_app, build_upstream
from gateway.contracts import ContractError, Contracts


@pytest.fixture
async def things():
    """A client of a gateway with the contracts above; `heard` has the requests by method."""
    async with gateway_of(UPDATE, DELETE, FIND) as (client, heard, _):
        yield client, heard


@pytest.mark.parametrize("sent", ['"r1"', "r1", 'W/"r1"'])
async def test_a_revision_goes_both_ways(things, sent):
    client, heard = things
    answer = await client.patch("/api/v1/things/7", json={"name": "n"}, headers={"If-Match": sent})
    assert answer.headers["etag"].startswith('"r2-')
    assert (heard["UpdateThing"].id, heard["UpdateThing"].etag) == ("7", "r1")
    assert heard["UpdateThing"].thing.name == "n"


async def test_any_revision_is_no_condition(things):
    client, heard = things
    await client.delete("/api/v1/things/7", headers={"If-Match": "*"})
    assert heard["DeleteThing"].etag == ""


@pytest.mark.parametrize("sent", ["", '""', '"a", "b"', '"'])
async def test_a_condition_that_is_none_is_refused(things, sent):
    client, heard = things
    answer = await client.delete("/api/v1/things/7", headers={"If-Match": sent})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["If-Match"]
    assert heard == {}


async def test_nothing_is_answered_with_nothing(things):
    client, _ = things
    answer = await client.delete("/api/v1/things/7")
    assert answer.status_code == 204
    assert answer.content == b""
    assert "content-type" not in answer.headers


async def test_lists_times_and_flags_are_parameters_messages_are_not(things):
    client, heard = things
    query = "tags=a&tags=b&big=true&since=2026-01-31T12:00:00Z"
    assert (await client.get(f"/api/v1/things?{query}")).status_code == 200
    asked = heard["FindThings"]
    assert (asked.tags, asked.big) == (["a", "b"], True)
    assert asked.since.seconds == 1_769_860_800
    body = (await client.get("/api/v1/things?inner=x&big=1&since=now")).json()
    assert sorted(body["errors"]) == ["big", "inner", "since"]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"path": "/api/v1/things/{nope}"}, "no string field"),
        ({"path": "/api/v1/things/{thing}"}, "no string field"),
        ({"path": "/api/v1/things/{id}", "body": "id"}, "no message"),
        ({"path": "/api/v1/things/{id}", "body": "nope"}, "no message"),
    ],
)
async def test_a_contract_that_cannot_be_served_stops_the_start(broken, why):
    contracts = Contracts(
        image(method("UpdateThing", "UpdateThing", f".{PACKAGE}.Thing", verb="patch", **broken))
    )
    signer = Signer("gateway", Ed25519PrivateKey.generate())
    upstream = build_upstream(contracts, {"things": "127.0.0.1:1"}, signer)
    with pytest.raises(ContractError, match=why):
        build_app(contracts, upstream, Anyone(), None)
    await upstream.close()


def test_a_method_without_a_policy_stops_the_start():
    bare = descriptor_pb2.MethodDescriptorProto.FromString(FIND.SerializeToString())
    bare.options.ClearExtension(options_pb2.policy)
    with pytest.raises(ContractError, match="declares no policy"):
        Contracts(image(bare))
