"""Requests in and answers out, over the whole path."""

import asyncio
import re

import pytest
from google.protobuf import json_format
from writer.identity.v1 import identity_pb2
from writer.tasks.v1 import runs_pb2, tasks_pb2

TASKS = "/api/v1/writer/tasks"


async def test_one_resource_comes_in_the_envelope_with_its_revision(client, backend, task):
    backend.answers["GetTask"] = task
    answer = await client.get(f"{TASKS}/{task.id}", headers={"X-Request-Id": "mine-1"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch('"r1-[0-9a-f]{8}"', answer.headers["etag"])
    expected = json_format.MessageToDict(
        task, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    assert answer.json() == {"success": True, "data": expected, "request_id": "mine-1"}
    assert expected["create_time"] == "2026-01-01T00:00:00.005Z"
    assert "update_time" not in answer.json()["data"]
    assert backend.last.request.id == task.id


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_create_fills_the_resource_and_answers_as_declared(stack, task, brief, slash):
    stack.backend.answers["CreateTask"] = task
    answer = await stack.client.post(TASKS + slash, params=stack.scope, json=brief)
    assert answer.status_code == 201
    assert answer.json()["data"]["title"] == "Tëa & <cups>"
    heard = stack.backend.last.request
    assert (heard.task.title, heard.task.cluster_id) == (brief["title"], brief["cluster_id"])
    assert heard.request_id == ""
    who = stack.backend.last.who
    assert (who.site_id, who.sector_id, who.sector_name) == (stack.site, stack.sector, "News")


async def test_an_idempotency_key_becomes_the_request_id_of_the_message(stack, task, brief):
    stack.backend.answers["CreateTask"] = task
    headers = {"Idempotency-Key": "order-7"}
    await stack.client.post(TASKS, params=stack.scope, json=brief, headers=headers)
    assert stack.backend.last.request.request_id == "order-7"


@pytest.mark.parametrize("key", ["", " ", "x" * 65, "ä", "a\tb"])
async def test_a_strange_idempotency_key_is_refused(stack, brief, key):
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = await stack.client.post(TASKS, params=stack.scope, json=brief, headers=headers)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["Idempotency-Key"]
    assert stack.backend.heard == []


async def test_a_key_that_contradicts_the_body_is_refused(client, backend):
    answer = await client.post(
        f"{TASKS}/auto_generate_content",
        json={"ids": ["a"], "request_id": "one"},
        headers={"Idempotency-Key": "two"},
    )
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["request_id"]


async def test_background_work_answers_202_and_may_take_longer(client, backend):
    backend.answers["GenerateContent"] = runs_pb2.Run(id="r", state=runs_pb2.Run.queued)
    answer = await client.post(
        f"{TASKS}/auto_generate_content", json={"ids": ["a", "b"], "stop_after": "images"}
    )
    assert answer.status_code == 202
    assert answer.json()["data"]["state"] == "queued"
    assert list(backend.last.request.ids) == ["a", "b"]
    assert 20 < backend.last.time_left_s < 31


async def test_a_read_has_ten_seconds(client, backend, task):
    backend.answers["GetTask"] = task
    await client.get(f"{TASKS}/x")
    assert 5 < backend.last.time_left_s < 11


async def test_a_public_method_needs_no_credentials_and_carries_none(stack):
    stack.backend.answers["Login"] = identity_pb2.Session(access_token="t", expires_in_s=900)
    del stack.client.headers["Authorization"]
    answer = await stack.client.post(
        "/api/v1/auth/login", json={"email": "a@b.example", "password": "secret"}
    )
    assert answer.status_code == 200
    assert answer.json()["data"]["access_token"] == "t"
    who = stack.backend.last.who
    assert (who.principal, who.account_id, who.role) == ("anonymous", "", "")
    assert stack.credentials.asked == 0


async def test_a_path_parameter_fills_a_request_that_is_its_body(client, backend):
    backend.answers["RevokeApiKey"] = identity_pb2.ApiKey(id="k1")
    answer = await client.post("/api/v1/auth/api_keys/k1/revoke")
    assert answer.status_code == 200
    assert backend.last.request.id == "k1"
    answer = await client.post("/api/v1/auth/api_keys/k1/revoke", json={"id": "k2"})
    assert answer.status_code == 400
    assert answer.json()["errors"] == {"id": ["differs from the address"]}


async def test_both_spellings_of_a_field_are_read(stack, task, brief):
    stack.backend.answers["CreateTask"] = task
    body = {**brief, "wordCount": 500}
    answer = await stack.client.post(TASKS, params=stack.scope, json=body)
    assert answer.status_code == 201
    assert stack.backend.last.request.task.word_count == 500


async def test_the_list_of_an_empty_account_is_an_empty_list(client, backend):
    backend.answers["ListTasks"] = tasks_pb2.ListTasksResponse()
    answer = await client.get(TASKS)
    body = answer.json()
    assert body.pop("request_id") == answer.headers["x-request-id"]
    assert body == {"success": True, "count": 0, "next": None, "previous": None, "results": []}


async def test_many_requests_at_once_get_their_own_answers(client, backend, task):
    async def answer(request, context):
        return tasks_pb2.Task(id=request.id, title=request.id[::-1])

    backend.answers["GetTask"] = answer
    names = [f"task-{number}" for number in range(40)]
    answers = await asyncio.gather(
        *(client.get(f"{TASKS}/{name}", headers={"X-Request-Id": name}) for name in names)
    )
    for name, got in zip(names, answers, strict=True):
        assert got.json()["data"]["id"] == name
        assert got.json()["request_id"] == got.headers["x-request-id"] == name
