"""Our JSON is canonical proto JSON: google.protobuf.json_format is the oracle, both ways, for
every message that REST takes or answers. Where the two differ is in one table.
"""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.json_oracle import (
    POOL,
    REGISTRY,
    TYPES,
    agree_on,
    agree_on_body,
    kind_of,
    oracle_out,
    oracles,
    ours,
)
from support.json_samples import filled, odd_bodies

from chassis.errors import Refusal
from gateway.transcoding.conversion import BodyReader, ListWriter, is_listing

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
