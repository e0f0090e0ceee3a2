"""Our JSON beside google.protobuf.json_format, and where the two may differ."""

import contextlib
import json
import math
import re
from importlib import resources

from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from chassis.errors import Refusal
from gateway.contracts import load_contracts
from gateway.streams.facts import PACKAGE, Catalogue
from gateway.transcoding.conversion import BodyReader, ResourceWriter
from gateway.transcoding.fields import CONVERSION_ERRORS

CONTRACTS = load_contracts()
REGISTRY = CONTRACTS.registry
# A pool of its own: every contract, whether or not a test has imported it.
POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(
    resources.files("writer").joinpath("api.binpb").read_bytes()
).file:
    POOL.Add(_file)


def types():
    """Every message that REST takes or answers as a whole: bodies, answers, events of streams."""
    for binding in CONTRACTS.bindings:
        request = binding.method.request
        yield from (request.type_name, binding.method.response.type_name)
        for field in request.fields:
            if field.name == binding.body:
                yield field.value.message.type_name
    for kind in Catalogue(CONTRACTS).types:
        thing, fact = kind.split(".")
        yield f"{PACKAGE}{thing.title()}{fact.title().replace('_', '')}"


TYPES = sorted({name for name in types() if name.startswith("writer.")})
RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def kind_of(name):
    return GetMessageClass(POOL.FindMessageTypeByName(name))


def oracle_out(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def ours(name, text):
    """What we read; None when it is refused."""
    with contextlib.suppress(Refusal, *CONVERSION_ERRORS):
        read, _ = BodyReader(REGISTRY.message(name)).read(text.encode())
        return kind_of(name).FromString(read.to_binary())
    return None


def oracles(name, text):
    """What the oracle reads; None when it is refused."""
    with contextlib.suppress(json_format.ParseError):
        return json_format.Parse(text, kind_of(name)())
    return None


def agree_on(message):
    name = message.DESCRIPTOR.full_name
    written, _ = ResourceWriter(REGISTRY.message(name)).write(message.SerializeToString())
    assert json.loads(written) == oracle_out(message)
    for spelled in (json.dumps(oracle_out(message)), json_format.MessageToJson(message)):
        assert ours(name, spelled) == message


def agree_on_body(desc, body, text=""):
    """Both read the body alike, or differ as the table says; `text` is one way to write it."""
    text = text or json.dumps(body)
    read, expected = ours(desc.full_name, text), oracles(desc.full_name, text)
    if (read is None) == (expected is None):
        # Compared as bytes: not even NaN differs from itself there.
        same = [each and each.SerializeToString(deterministic=True) for each in (read, expected)]
        assert same[0] == same[1]
    else:
        assert read is None, f"only we take {text}"
        assert deviates(desc, body), f"only the oracle takes {text}"


def deviates(desc, value):
    """Whether some value is of a kind that the table names."""
    if not isinstance(value, dict):
        return True
    known = {name: field for field in desc.fields for name in (field.name, field.json_name)}
    return any(
        value_deviates(known[key], item)
        for key, inner in value.items()
        if key in known
        for item in (inner if isinstance(inner, list) and known[key].is_repeated else [inner])
    )


def value_deviates(field, value):
    text = isinstance(value, str)
    if isinstance(value, float) and not math.isfinite(value):
        return True
    if field.enum_type is not None:
        return isinstance(value, (bool, float, str))
    if field.type in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_BYTES}:
        return isinstance(value, (bool, str))
    inner = field.message_type
    if inner is None:
        return text and "\x00" in value
    if inner.full_name == "google.protobuf.Timestamp":
        return text and RFC_3339.fullmatch(value) is None
    if inner.full_name.startswith("google.protobuf."):
        return cannot_be_kept(value)
    return deviates(inner, value)


def cannot_be_kept(value):
    """Whether there is a number without end or a text with U+0000 inside."""
    if isinstance(value, dict):
        return any(cannot_be_kept(inner) for item in value.items() for inner in item)
    if isinstance(value, list):
        return any(cannot_be_kept(inner) for inner in value)
    if isinstance(value, str):
        return "\x00" in value
    return isinstance(value, float) and not math.isfinite(value)
