"""Contracts that a later release may bring: the gateway serves them without a change."""

from importlib import resources

import grpc
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf import descriptor_pb2
from writer.options.v1 import options_pb2

from chassis.caller import Signer
from gateway.app import build_app, build_upstream
from gateway.authentication import Principal
from gateway.contracts import ContractError, Contracts

STRING, INT32, BOOL, MESSAGE = 9, 5, 8, 11
REPEATED = 3
PACKAGE = "writer.things.v1"


def message(named, /, **fields):
    made = descriptor_pb2.DescriptorProto(name=named)
    for number, (field, kind) in enumerate(fields.items(), start=1):
        label, one = (REPEATED, kind[0]) if isinstance(kind, list) else (1, kind)
        typed = {"type": MESSAGE, "type_name": one} if isinstance(one, str) else {"type": one}
        made.field.add(name=field, number=number, label=label, **typed)
    return made


def method(name, request, response, *, verb, path, body="", access="write", status=0):
    made = descriptor_pb2.MethodDescriptorProto(
        name=name, input_type=f".{PACKAGE}.{request}", output_type=response
    )
    rule = made.options.Extensions[annotations_pb2.http]
    setattr(rule, verb, path)
    rule.body = body
    policy = made.options.Extensions[options_pb2.policy]
    policy.access = options_pb2.Access.Level.Value(access)
    policy.http_status, policy.throttle = status, "writer"
    return made


def image(*methods):
    """The released contracts and one more file."""
    thing = message("Thing", id=STRING, etag=STRING, site_id=STRING, name=STRING, tags=[STRING])
    thing.field[2].options.Extensions[field_behavior_pb2.field_behavior].append(3)
    released = descriptor_pb2.FileDescriptorSet.FromString(
        resources.files("writer").joinpath("api.binpb").read_bytes()
    )
    released.file.add(
        name="writer/things/v1/things.proto",
        package=PACKAGE,
        syntax="proto3",
        dependency=[
            "google/protobuf/empty.proto",
            "google/protobuf/field_mask.proto",
            "google/protobuf/timestamp.proto",
            "writer/options/v1/options.proto",
        ],
        message_type=[
            thing,
            message(
                "UpdateThing",
                id=STRING,
                etag=STRING,
                thing=f".{PACKAGE}.Thing",
                update_mask=".google.protobuf.FieldMask",
            ),
            message("DeleteThing", id=STRING, etag=STRING),
            message(
                "FindThings",
                tags=[STRING],
                big=BOOL,
                since=".google.protobuf.Timestamp",
                inner=f".{PACKAGE}.Thing",
            ),
        ],
        service=[descriptor_pb2.ServiceDescriptorProto(name="ThingService", method=methods)],
    )
    return _with_empty(released).SerializeToString()


def _with_empty(released):
    known = {file.name for file in released.file}
    if "google/protobuf/empty.proto" not in known:
        empty = descriptor_pb2.FileDescriptorProto(
            name="google/protobuf/empty.proto", package="google.protobuf", syntax="proto3"
        )
        empty.message_type.add(name="Empty")
        released.file.insert(0, empty)
    return released


UPDATE = method(
    "UpdateThing",
    "UpdateThing",
    f".{PACKAGE}.Thing",
    verb="patch",
    path="/api/v1/things/{id}",
    body="thing",
)
DELETE = method(
    "DeleteThing",
    "DeleteThing",
    ".google.protobuf.Empty",
    verb="delete",
    path="/api/v1/things/{id}",
    status=204,
)
FIND = method(
    "FindThings",
    "FindThings",
    f".{PACKAGE}.Thing",
    verb="get",
    path="/api/v1/things",
    access="read",
)


class Anyone:
    async def authenticate(self, _authorization):
        return Principal(principal="user:1", role="owner", account_id="a")


@pytest.fixture
async def things():
    """A client of a gateway with the contracts above; `heard` has the requests by method."""
    contracts, heard = Contracts(image(UPDATE, DELETE, FIND)), {}
    known = {method.path: method for method in contracts.methods}

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            async def answer(wire, _context):
                heard[known[details.method].name] = known[details.method].request.type.from_binary(
                    wire
                )
                return b"\x0a\x01x\x12\x02r2"

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    signer = Signer("gateway", Ed25519PrivateKey.generate())
    upstream = build_upstream(contracts, {"things": f"127.0.0.1:{port}"}, signer)
    app = build_app(contracts, upstream, Anyone(), None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        yield client, heard
    await upstream.close()
    await server.stop(None)


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
