"""A contract that a later release may bring, served by a gateway and answered by an echo."""

import functools
from contextlib import asynccontextmanager
from importlib import resources

import grpc
import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf import descriptor_pb2
from grpc_status import rpc_status
from writer.options.v1 import options_pb2

from chassis import status
from chassis.caller import Signer
from gateway.admission.principals import Principal
from gateway.app import build_app, build_upstream
from gateway.contracts import Contracts

STRING, INT32, BOOL, MESSAGE = 9, 5, 8, 11
REPEATED = 3
PACKAGE = "writer.things.v1"


def message(named, /, **fields):
    made = descriptor_pb2.DescriptorProto(name=named)
    for number, (field, kind) in enumerate(fields.items(), start=1):
        label, one = (REPEATED, kind[0]) if isinstance(kind, list) else (1, kind)
        typed = {"type": MESSAGE, "type_name": one} if isinstance(one, str) else {"type": one}
        first, *rest = field.split("_")
        spelled = first + "".join(map(str.capitalize, rest))
        made.field.add(name=field, json_name=spelled, number=number, label=label, **typed)
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
    thing = message(
        "Thing",
        id=STRING,
        etag=STRING,
        site_id=STRING,
        name=STRING,
        tags=[STRING],
        seo=f".{PACKAGE}.Seo",
        kind=STRING,
        free=".google.protobuf.Struct",
        publish_time=".google.protobuf.Timestamp",
    )
    for name, behavior in {"id": 3, "etag": 3, "site_id": 3, "kind": 5}.items():
        (field,) = [each for each in thing.field if each.name == name]
        field.options.Extensions[field_behavior_pb2.field_behavior].append(behavior)
    seo = message("Seo", title=STRING, text=STRING, links=[STRING], score=INT32)
    seo.field[3].options.Extensions[field_behavior_pb2.field_behavior].append(3)
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
            "google/protobuf/struct.proto",
            "google/protobuf/timestamp.proto",
            "writer/options/v1/options.proto",
        ],
        message_type=[
            thing,
            seo,
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


_contracts = functools.cache(Contracts)


@asynccontextmanager
async def gateway_of(*methods, **options):
    """A client, the requests that were heard by method, and the answers by method.

    An answer is bytes of a message or a Refusal; without one, the thing `x` of revision `r2`.
    """
    contracts, heard, answers = _contracts(image(*methods)), {}, {}
    known = {method.path: method for method in contracts.methods}

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            async def answer(wire, context):
                called = known[details.method]
                heard[called.name] = called.request.type.from_binary(wire)
                found = answers.get(called.name, b"\x0a\x01x\x12\x02r2")
                if isinstance(found, Exception):
                    refused = rpc_status.to_status(status.to_status(found))
                    await context.abort(refused.code, refused.details, refused.trailing_metadata)
                return found

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    signer = Signer("gateway", Ed25519PrivateKey.generate())
    upstream = build_upstream(contracts, {"things": f"127.0.0.1:{port}"}, signer)
    app = build_app(contracts, upstream, Anyone(), None, **options)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        yield client, heard, answers
    await upstream.close()
    await server.stop(None)
