"""PATCH: the keys of the body are what changes, and what cannot be is refused by name."""

import pytest
from support.things import UPDATE, gateway_of

from chassis.errors import EtagMismatch, InvalidFields, Violation

URL = "/api/v1/things/7"


@pytest.fixture
async def things():
    async with gateway_of(UPDATE) as (client, heard, answers):
        yield client, heard, answers


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"name": "n"}, ["name"]),
        ({"name": "n", "tags": []}, ["name", "tags"]),
        ({"name": None}, ["name"]),
        ({"tags": None, "seo": None}, ["tags", "seo"]),
        ({"seo": {"title": "t"}}, ["seo.title"]),
        (
            {"seo": {"title": "t", "text": None, "links": ["a"]}},
            ["seo.title", "seo.text", "seo.links"],
        ),
        ({"free": {"any": {"thing": 1}}}, ["free"]),
        ({"publishTime": "2026-01-31T12:00:00Z"}, ["publish_time"]),
    ],
)
async def test_the_keys_of_the_body_are_the_mask(things, body, paths):
    client, heard, _ = things
    answer = await client.patch(URL, json=body)
    assert answer.status_code == 200, answer.text
    asked = heard["UpdateThing"]
    assert list(asked.update_mask.paths) == paths
    assert asked.id == "7"


async def test_null_takes_a_field_back_and_absence_leaves_it(things):
    client, heard, _ = things
    await client.patch(URL, json={"name": None, "seo": {"text": None, "title": "t"}})
    thing = heard["UpdateThing"].thing
    assert (thing.name, thing.seo.text, thing.seo.title) == ("", "", "t")
    assert "tags" not in heard["UpdateThing"].update_mask.paths


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"nope": 1}, {"nope": ["is not a known field"]}),
        ({"seo": {"nope": 1}}, {"seo.nope": ["is not a known field"]}),
        ({"id": "7"}, {"id": ["is read-only"]}),
        ({"seo": {"score": 9}}, {"seo.score": ["is read-only"]}),
        ({"kind": "k"}, {"kind": ["cannot be changed"]}),
        ({"seo": {}}, {"seo": ["names no field to change"]}),
        ({"publish_time": None, "publishTime": None}, {"publish_time": ["is given twice"]}),
        (
            {"id": "7", "name": "n", "nope": 1},
            {"id": ["is read-only"], "nope": ["is not a known field"]},
        ),
        ({"name": 5}, {"name": ["must be a string"]}),
    ],
)
async def test_what_cannot_be_changed_is_refused_by_name(things, body, errors):
    client, heard, _ = things
    answer = await client.patch(URL, json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"] == errors
    assert heard == {}


@pytest.mark.parametrize("body", [b"", b"{}", b'{"etag":"r1"}', b'{"site_id":null}'])
async def test_a_body_without_a_change_is_refused(things, body):
    client, heard, _ = things
    answer = await client.patch(URL, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"] == "The body names no field to change."
    assert heard == {}


@pytest.mark.parametrize("body", [b"[]", b'"name"', b"1", b"null", b"{", b'{"name":}'])
async def test_what_is_no_object_is_refused(things, body):
    client, heard, _ = things
    answer = await client.patch(URL, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert heard == {}


async def test_no_body_names_more_fields_than_any_resource_has(things):
    client, heard, _ = things
    answer = await client.patch(URL, json={f"x{number}": 1 for number in range(5_000)})
    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 20
    assert heard == {}


async def test_the_revision_in_the_body_is_a_condition(things):
    client, heard, _ = things
    await client.patch(URL, json={"etag": "r1", "name": "n"})
    assert heard["UpdateThing"].etag == "r1"
    assert list(heard["UpdateThing"].update_mask.paths) == ["name"]
    same = {"If-Match": '"r1-0123abcd"'}
    assert (await client.patch(URL, json={"etag": "r1", "name": "n"}, headers=same)).is_success
    other = {"If-Match": '"r2"'}
    answer = await client.patch(URL, json={"etag": "r1", "name": "n"}, headers=other)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["etag"])


async def test_412_names_what_changed_as_the_client_knows_it(things):
    client, _, answers = things
    answers["UpdateThing"] = EtagMismatch("thing", "r9", ["thing.name", "thing.seo.title"])
    answer = await client.patch(URL, json={"name": "n"}, headers={"If-Match": '"r1"'})
    assert answer.status_code == 412
    body = answer.json()
    assert body["code"] == "ETAG_MISMATCH"
    assert body["details"] == {"etag": "r9"}
    changed = ["has changed since you read it"]
    assert body["errors"] == {"name": changed, "seo.title": changed}


async def test_what_a_service_refuses_is_named_as_the_client_wrote_it(things):
    client, _, answers = things
    answers["UpdateThing"] = InvalidFields(Violation("thing.tags", "cannot be changed"))
    answer = await client.patch(URL, json={"tags": ["a"]})
    assert answer.json()["errors"] == {"tags": ["cannot be changed"]}


async def test_what_was_read_and_cannot_be_changed_is_told_from_what_nobody_knows(make_stack):
    async with make_stack("identity") as stack:
        body = {"name": "n", "status": "active", "create_time": None, "nope": 1}
        answer = await stack.client.patch("/api/v1/auth/account", json=body)
        assert stack.backend.heard == []
    assert answer.json()["errors"] == {
        "status": ["cannot be changed"],
        "create_time": ["cannot be changed"],
        "nope": ["is not a known field"],
    }
