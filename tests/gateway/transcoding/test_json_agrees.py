"""Our JSON is canonical proto JSON: google.protobuf.json_format is the oracle, both ways, for
every message that REST takes or answers. Where the two differ is in one table.
"""

import contextlib
import json
import math
import re
from importlib import resources

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.json_samples import filled, odd_bodies

from chassis.errors import Refusal
from gateway.contracts import load_contracts
from gateway.transcoding.conversion import BodyReader, ListWriter, ResourceWriter, is_listing
from gateway.transcoding.fields import CONVERSION_ERRORS

CONTRACTS = load_contracts()
REGISTRY = CONTRACTS.registry
# A pool of its own: every contract, whether or not a test has imported it.
POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(
    resources.files("writer").joinpath("api.binpb").read_bytes()
).file:
    POOL.Add(_file)
TYPES = sorted(
    {
        desc.type_name
        for binding in CONTRACTS.bindings
        for desc in (binding.method.request, binding.method.response)
        if desc.type_name.startswith("writer.")
    }
)
LISTS = [name for name in TYPES if is_listing(REGISTRY.message(name))]
ANY_TYPE = st.sampled_from([POOL.FindMessageTypeByName(name) for name in TYPES])
FEW = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=100)

# What the two make of a body differently. `None`: refused.
DEVIATIONS = [
    # We read what JSON and canonical proto JSON say; the oracle reads more, as Python would.
    ("tasks.v1.Task", '{"content_type": true}', None, "an enum value is no boolean"),
    ("tasks.v1.Task", '{"content_type": 1.5}', None, "an enum value is no fraction"),
    ("tasks.v1.Task", '{"content_type": "1"}', None, "an enum value is named or numbered"),
    ("content.v1.Content", '{"images": []}', None, "an object is no list"),
    ("content.v1.Content", '{"images": ""}', None, "an object is no text"),
    ("tasks.v1.Task", "[]", None, "nor is a body"),
    ("billing.v1.UsageSum", '{"prompt_tokens": true}', None, "a number is no boolean"),
    ("billing.v1.UsageSum", '{"prompt_tokens": "inf"}', None, "Infinity has one spelling"),
    ("billing.v1.UsageSum", '{"prompt_tokens": " 1"}', None, "a number has no blanks"),
    ("identity.v1.ApiKey", '{"expire_time": "2026-1-31T12:00:00Z"}', None, "RFC 3339: two digits"),
    ("identity.v1.ApiKey", '{"expire_time": "2026-01-31T12:00:00.Z"}', None, "RFC 3339: a digit"),
    ("identity.v1.ApiKey", '{"expire_time": "2026-01-31T12:00:00+24:00"}', None, "RFC 3339: 23:59"),
    ("images.v1.ImageFileChunk", '{"data": "*"}', None, "this is no base64"),
    ("content.v1.Content", '{"external_metadata": {"a": NaN}}', None, "JSON has no NaN"),
    ("content.v1.Content", '{"external_metadata": {"a": 1e400}}', None, "it cannot be written"),
    ("tasks.v1.Task", '{"title": "\\u0000"}', None, "PostgreSQL keeps no U+0000"),
    # And where we read more: of a key that is there twice the last one counts, as in most readers.
    ("tasks.v1.Task", '{"title": "a", "title": "b"}', {"title": "b"}, "RFC 8259 leaves it open"),
]
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


def agree_on_body(desc, body):
    text = json.dumps(body)
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
        return not_finite_inside(value)
    return deviates(inner, value)


def not_finite_inside(value):
    if isinstance(value, dict):
        return any(not_finite_inside(inner) for inner in value.values())
    if isinstance(value, list):
        return any(not_finite_inside(inner) for inner in value)
    return isinstance(value, float) and not math.isfinite(value)


def a_message(desc):
    return filled(desc)


def a_body(desc):
    return st.tuples(st.just(desc), odd_bodies(desc))


@FEW
@given(message=ANY_TYPE.flatmap(a_message))
def test_messages_agree(message):
    agree_on(message)


@FEW
@given(case=ANY_TYPE.flatmap(a_body))
def test_odd_bodies_are_taken_alike_and_mean_the_same(case):
    agree_on_body(*case)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TYPES)
def test_every_type_agrees_at_length(name):
    desc = POOL.FindMessageTypeByName(name)
    MANY(given(message=filled(desc))(lambda message: agree_on(message)))()
    MANY(given(body=odd_bodies(desc))(lambda body: agree_on_body(desc, body)))()


@FEW
@given(
    message=st.sampled_from([POOL.FindMessageTypeByName(name) for name in LISTS]).flatmap(filled)
)
def test_rows_of_lists_agree(message):
    desc = REGISTRY.message(message.DESCRIPTOR.full_name)
    rows = ListWriter(desc).write(message.SerializeToString())
    expected = oracle_out(message)
    (name,) = expected.keys() - {"next_page_token", "total_size"}
    assert json.loads(f"[{rows.json}]") == expected[name]
    assert (rows.count, rows.next_token, rows.total) == (
        len(expected[name]),
        message.next_page_token,
        message.total_size,
    )


@pytest.mark.parametrize(
    ("name", "text", "read", "_why"), DEVIATIONS, ids=[why for *_, why in DEVIATIONS]
)
def test_the_two_differ_where_the_table_says_so(name, text, read, _why):
    name = f"writer.{name}"
    expected = None if read is None else kind_of(name)(**read)
    assert ours(name, text) == expected
    assert oracles(name, text) != expected


@given(body=st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_refusal(body):
    with contextlib.suppress(Refusal):
        BodyReader(REGISTRY.message("writer.content.v1.Content")).read(b"{" + body)


@given(number=st.sampled_from(["1e400", "-1e400", "1e309"]))
def test_numbers_that_cannot_be_written_again_are_not_read(number):
    body = f'{{"external_metadata":{{"a":{number}}}}}'.encode()
    with pytest.raises(Refusal):
        BodyReader(REGISTRY.message("writer.content.v1.Content")).read(body)
