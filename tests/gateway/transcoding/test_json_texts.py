"""One body can be written in many ways: what it means does not depend on them."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.json_oracle import POOL, REGISTRY, TYPES, agree_on_body, kind_of, oracle_out, ours
from support.json_samples import filled, odd_bodies, texts_of

from chassis.errors import Refusal
from gateway.transcoding.conversion import BodyReader

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=100)
SCOPE = ("site_id", "sector_id")
# Of these the scope is no field, so that it is taken out of the body.
SCOPELESS = [
    name
    for name in TYPES
    if not {field.name for field in REGISTRY.message(name).fields} & {*SCOPE, "siteId", "sectorId"}
]
ANY_TYPE = st.sampled_from([POOL.FindMessageTypeByName(name) for name in TYPES])
SCOPED_TYPE = st.sampled_from([POOL.FindMessageTypeByName(name) for name in SCOPELESS])


@st.composite
def written(draw, desc, *, odd=True):
    """A type, a body, and the body as text."""
    body = draw(odd_bodies(desc)) if odd else oracle_out(draw(filled(desc)))
    return desc, body, draw(texts_of(body))


def read(desc, text, lifted=()):
    """What we read, with what was taken out; None when it is refused."""
    reader = BodyReader(REGISTRY.message(desc.full_name), lifted=lifted)
    try:
        message, found = reader.read(text.encode("utf-8", "surrogatepass"))
        same = kind_of(desc.full_name).FromString(message.to_binary())
        return same.SerializeToString(deterministic=True), found
    except Refusal:
        return None


@FEW
@given(case=ANY_TYPE.flatmap(written) | ANY_TYPE.flatmap(lambda desc: written(desc, odd=False)))
def test_blanks_escapes_and_numbers_mean_what_they_mean_to_the_oracle(case):
    agree_on_body(*case)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_read_alike_in_every_spelling(name):
    desc = POOL.FindMessageTypeByName(name)
    for odd in (True, False):
        MANY(given(case=written(desc, odd=odd))(lambda case: agree_on_body(*case)))()


@FEW
@given(case=ANY_TYPE.flatmap(written), data=st.data())
def test_of_a_key_that_is_there_twice_the_last_one_counts(case, data):
    desc, body, _ = case
    key = data.draw(st.sampled_from(sorted(body) or ["a"]))
    other = data.draw(st.sampled_from([None, True, 1, "a", "post", {}, {"a": 1}, [], ["a"], [{}]]))
    first = f"{{{json.dumps(key)}:{json.dumps(other)}"
    # Each is read: what does not fit is refused also where it does not count.
    if body and ours(desc.full_name, f"{first}}}") is not None:
        once = ours(desc.full_name, json.dumps(body))
        twice = ours(desc.full_name, f"{first},{json.dumps(body)[1:]}")
        assert [each and each.SerializeToString(deterministic=True) for each in (once, twice)] == (
            [once and once.SerializeToString(deterministic=True)] * 2
        )


@FEW
@given(case=SCOPED_TYPE.flatmap(written), data=st.data())
def test_a_scope_in_the_body_changes_nothing_else(case, data):
    desc, body, _ = case
    scope = data.draw(st.dictionaries(st.sampled_from(SCOPE), st.sampled_from(["a", "b"])))
    both = data.draw(st.permutations([*body.items(), *scope.items()]))
    expected = read(desc, json.dumps(body))
    found = read(desc, json.dumps(dict(both)), SCOPE)
    if expected is None:
        assert found is None
    else:
        assert found == (expected[0], scope)


@pytest.mark.parametrize("key", ['"site_id"', '"\\u0073ite_id"', '"site\\u005fid"'])
def test_a_scope_is_found_however_its_key_is_written(key):
    desc = POOL.FindMessageTypeByName("writer.tasks.v1.BulkUpdateTasksRequest")
    assert read(desc, f'{{{key}:"a"}}', SCOPE) == (b"", {"site_id": "a"})
