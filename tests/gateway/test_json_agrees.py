"""Our JSON is canonical proto JSON: google.protobuf.json_format is the oracle, both ways."""

import contextlib
import json

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from writer.content.v1 import content_pb2
from writer.tasks.v1 import runs_pb2, tasks_pb2

from chassis.errors import Refusal
from gateway.contracts import load_contracts
from gateway.conversion import BodyReader, ListWriter, ResourceWriter

REGISTRY = load_contracts().registry
INT32 = st.integers(-(2**31), 2**31 - 1)
# Surrogates are not text; U+0000 is refused on purpose.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
# From year 1 to 9999, to the nanosecond.
SECONDS = st.integers(-62135596800, 253402300799)
FREE = st.recursive(
    st.none()
    | st.booleans()
    | TEXT
    | st.floats(-1e15, 1e15, allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def value_of(field):
    if field.type == FieldDescriptor.TYPE_STRING:
        return TEXT
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values])
    assert field.type == FieldDescriptor.TYPE_INT32
    return INT32


@st.composite
def filled(draw, kind):
    """A message of the given class with any of its fields set."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if not draw(st.booleans()):
            continue
        target = getattr(message, field.name)
        if field.is_repeated:
            if field.message_type:
                target.extend(
                    draw(st.lists(filled(field.message_type._concrete_class), max_size=3))
                )
            else:
                target.extend(draw(st.lists(value_of(field), max_size=3)))
        elif field.message_type is None:
            setattr(message, field.name, draw(value_of(field)))
        elif field.message_type.name == "Timestamp":
            target.seconds, target.nanos = draw(SECONDS), draw(st.integers(0, 999_999_999))
        elif field.message_type.name == "Struct":
            target.update(draw(st.dictionaries(TEXT, FREE, max_size=3)))
        else:
            target.CopyFrom(draw(filled(field.message_type._concrete_class)))
    return message


def oracle_out(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def agree(message, kind):
    name = message.DESCRIPTOR.full_name
    written, _ = ResourceWriter(REGISTRY.message(name)).write(message.SerializeToString())
    assert json.loads(written) == oracle_out(message)
    for spelled in (json.dumps(oracle_out(message)), json_format.MessageToJson(message)):
        read, _ = BodyReader(REGISTRY.message(name)).read(spelled.encode())
        assert kind.FromString(read.to_binary()) == message


@FEW
@given(message=filled(tasks_pb2.Task))
def test_tasks_agree(message):
    agree(message, tasks_pb2.Task)


@FEW
@given(message=filled(content_pb2.Content))
def test_contents_agree(message):
    agree(message, content_pb2.Content)


@FEW
@given(message=filled(runs_pb2.Run))
def test_runs_agree(message):
    agree(message, runs_pb2.Run)


@FEW
@given(message=filled(tasks_pb2.ListTasksResponse))
def test_rows_of_lists_agree(message):
    rows = ListWriter(REGISTRY.message("writer.tasks.v1.ListTasksResponse")).write(
        message.SerializeToString()
    )
    expected = oracle_out(message)
    assert json.loads(f"[{rows.json}]") == expected["tasks"]
    assert (rows.count, rows.next_token, rows.total) == (
        len(message.tasks),
        message.next_page_token,
        message.total_size,
    )


ODD = st.recursive(
    st.none() | st.booleans() | INT32 | st.floats() | TEXT | st.sampled_from(["post", "1", "1e3"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [name for field in tasks_pb2.Task.DESCRIPTOR.fields for name in (field.name, field.json_name)]
)


@settings(max_examples=200, deadline=None)
@given(body=st.dictionaries(NAMES | TEXT, ODD, max_size=4) | ODD)
def test_what_is_taken_of_odd_bodies_means_the_same(body):
    assume(not says_a_field_twice(body))
    text = json.dumps(body)
    # The converter is stricter in places (a boolean is no enum value); never laxer.
    with contextlib.suppress(Refusal):
        read, _ = BodyReader(REGISTRY.message("writer.tasks.v1.Task")).read(text.encode())
        expected = json_format.Parse(text, tasks_pb2.Task())
        assert tasks_pb2.Task.FromString(read.to_binary()) == expected


def says_a_field_twice(body):
    """Both spellings of a field: refused by json_format, the last one counts for us."""
    if not isinstance(body, dict):
        return False
    fields = tasks_pb2.Task.DESCRIPTOR.fields
    return any(f.name != f.json_name and {f.name, f.json_name} <= body.keys() for f in fields)


@given(body=st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_refusal(body):
    with contextlib.suppress(Refusal):
        BodyReader(REGISTRY.message("writer.content.v1.Content")).read(b"{" + body)


@given(number=st.sampled_from(["1e400", "-1e400", "1e309"]))
def test_numbers_that_cannot_be_written_again_are_not_read(number):
    body = f'{{"external_metadata":{{"a":{number}}}}}'.encode()
    with pytest.raises(Refusal):
        BodyReader(REGISTRY.message("writer.content.v1.Content")).read(body)
