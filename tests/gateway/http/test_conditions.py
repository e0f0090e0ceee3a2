"""Revisions in headers: conditional reads and writes."""

import time

import pytest
from support.things import DELETE, FIND, UPDATE, gateway_of
from writer.tasks.v1 import runs_pb2, tasks_pb2

from chassis.errors import InvalidFields, Violation
from gateway.http import conditions

TASK = "/api/v1/writer/tasks/x"
GENERATE = "/api/v1/writer/tasks/auto_generate_content"


async def tag_of(client):
    return (await client.get(TASK)).headers["etag"]


@pytest.mark.parametrize("sent", ["{}", "W/{}", '"a", {}', "*"])
async def test_who_has_a_resource_is_not_sent_it_again(client, backend, task, sent):
    backend.answers["GetTask"] = task
    tag = await tag_of(client)
    answer = await client.get(TASK, headers={"If-None-Match": sent.format(tag)})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == tag
    assert "content-type" not in answer.headers


@pytest.mark.parametrize("sent", ['"r1"', '"other"', "nonsense", ""])
async def test_another_tag_gets_the_resource(client, backend, task, sent):
    backend.answers["GetTask"] = task
    answer = await client.get(TASK, headers={"If-None-Match": sent})
    assert answer.status_code == 200


async def test_what_is_shown_may_change_without_its_row(client, backend, task):
    backend.answers["GetTask"] = task
    tag = await tag_of(client)
    changed = tasks_pb2.Task()
    changed.CopyFrom(task)
    changed.word_count += 1
    backend.answers["GetTask"] = changed
    answer = await client.get(TASK, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.headers["etag"] != tag


async def test_a_read_may_insist_on_a_revision(client, backend, task):
    backend.answers["GetTask"] = task
    tag = await tag_of(client)
    for sent, status in ((tag, 200), ('"r1"', 200), ("*", 200), ('"r2"', 412)):
        assert (await client.get(TASK, headers={"If-Match": sent})).status_code == status


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (['"r2", {}'], 200),
        (['"r2"', "{}"], 200),
        (["W/{}", '"a,b"'], 200),
        ([",, {} ,"], 200),
        (['"a,{}"'], 400),
        (['"r2"', '"r3"'], 412),
        (['"*"'], 412),
        (["*", "{}"], 400),
        (["{}", '"'], 400),
        (['"r2" {}'], 400),
        (["", " , "], 400),
    ],
)
async def test_a_condition_is_a_list_in_however_many_lines(client, backend, task, lines, status):
    backend.answers["GetTask"] = task
    headers = [("If-Match", line.format('"r1"')) for line in lines]
    answer = await client.get(TASK, headers=headers)
    assert answer.status_code == status
    if status == 400:
        assert list(answer.json()["errors"]) == ["If-Match"]


async def test_a_write_goes_on_at_one_revision_however_often_it_is_named():
    async with gateway_of(UPDATE, DELETE, FIND) as (client, heard, _):
        same = [("If-Match", '"r1-0123abcd"'), ("If-Match", 'W/"r1", r1')]
        assert (await client.delete("/api/v1/things/7", headers=same)).status_code == 204
        assert heard.pop("DeleteThing").etag == "r1"
        two = [("If-Match", '"r1"'), ("If-Match", '"r2"')]
        answer = await client.delete("/api/v1/things/7", headers=two)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["If-Match"])
        assert heard == {}


def test_a_long_condition_that_is_none_is_found_out_at_once():
    for sent in (b" " * 60_000 + b'"', b'"' + b"," * 60_000, b"W/" * 30_000 + b'"'):
        started_s = time.perf_counter()
        with pytest.raises(InvalidFields):
            conditions.revision_in(sent)
        assert time.perf_counter() - started_s < 0.5


async def test_the_etag_of_an_answer_is_the_condition_of_the_next_write():
    async with gateway_of(UPDATE, DELETE, FIND) as (client, heard, _):
        tag = (await client.patch("/api/v1/things/7", json={"name": "n"})).headers["etag"]
        await client.delete("/api/v1/things/7", headers={"If-Match": tag})
        assert heard["DeleteThing"].etag == "r2"


async def test_a_write_that_knows_no_revisions_refuses_a_condition(client, backend):
    backend.answers["GenerateContent"] = runs_pb2.Run(id="r")
    answer = await client.post(GENERATE, json={"ids": ["a"]}, headers={"If-Match": '"1"'})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["If-Match"])
    assert backend.heard == []


@pytest.mark.parametrize(
    ("sent", "revision"),
    [
        (b'"7-0123abcd"', "7"),
        (b'W/"7.a1b-0123abcd"', "7.a1b"),
        (b"7", "7"),
        (b'"7-8"', "7-8"),
        (b'"7-0123ABCD"', "7-0123ABCD"),
        (b"*", ""),
    ],
)
def test_a_condition_is_read_with_and_without_its_checksum(sent, revision):
    assert conditions.revision_in(sent) == revision


async def test_an_idempotency_key_that_counts_is_echoed(stack, task, brief):
    stack.backend.answers["CreateTask"] = task
    stack.backend.answers["GetTask"] = task
    key = {"Idempotency-Key": "once"}
    answer = await stack.client.post(
        "/api/v1/writer/tasks", json={**brief, **stack.scope}, headers=key
    )
    assert answer.headers["idempotency-key"] == "once"
    assert stack.backend.last.request.request_id == "once"
    assert "idempotency-key" not in (await stack.client.get(TASK, headers=key)).headers
    stack.backend.answers["CreateTask"] = InvalidFields(Violation("task.title", "is empty"))
    refused = await stack.client.post(
        "/api/v1/writer/tasks", json={**brief, **stack.scope}, headers=key
    )
    assert (refused.status_code, "idempotency-key" in refused.headers) == (400, False)


async def test_a_key_changes_nothing_where_repeating_does_no_harm():
    async with gateway_of(UPDATE, DELETE, FIND) as (client, _heard, _):
        url, key = "/api/v1/things/7", {"Idempotency-Key": "once"}
        answer = await client.patch(url, json={"name": "n"}, headers=key)
        assert (answer.status_code, "idempotency-key" in answer.headers) == (200, False)
        strange = {"Idempotency-Key": "x" * 65}
        answer = await client.patch(url, json={"name": "n"}, headers=strange)
        assert answer.status_code == 400
