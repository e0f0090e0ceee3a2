"""What a refusal of a service looks like over REST, row by row."""

import asyncio
import json
import logging

import pytest
from writer.content.v1 import content_pb2

from chassis.errors import (
    AlreadyExists,
    EtagMismatch,
    Forbidden,
    InvalidFields,
    InvalidTransition,
    Kind,
    NotFound,
    PageTokenInvalid,
    Refusal,
    RequestIdReused,
    Unauthenticated,
    Unavailable,
    Violation,
)
from gateway.http import errors
from gateway.transcoding import endpoint

TASK = "/api/v1/writer/tasks/x"
LOGIN = "/api/v1/auth/login"


def refusal(kind, reason, **metadata):
    return Refusal(kind, reason, "A sentence.", metadata=metadata)


ROWS = [
    (InvalidFields(Violation("id", "is odd")), 400, "INVALID_FIELDS"),
    (InvalidFields(Violation("ids", "too many"), reason="TOO_MANY_ITEMS"), 400, "TOO_MANY_ITEMS"),
    (PageTokenInvalid(), 400, "PAGE_TOKEN_INVALID"),
    (RequestIdReused(), 422, "REQUEST_ID_REUSED"),
    (refusal(Kind.FAILED_PRECONDITION, "INSUFFICIENT_CREDITS"), 402, "INSUFFICIENT_CREDITS"),
    (Forbidden("ROLE_FORBIDDEN", "No."), 403, "ROLE_FORBIDDEN"),
    (Forbidden("SITE_FORBIDDEN", "No."), 403, "SITE_FORBIDDEN"),
    (Forbidden("ACCOUNT_INACTIVE", "No."), 403, "ACCOUNT_INACTIVE"),
    (NotFound("task", "x"), 404, "NOT_FOUND"),
    (AlreadyExists("cluster", "c1"), 409, "ALREADY_EXISTS"),
    (InvalidTransition("It runs."), 409, "INVALID_TRANSITION"),
    (refusal(Kind.FAILED_PRECONDITION, "NOT_READY_TO_PUBLISH"), 409, "NOT_READY_TO_PUBLISH"),
    (EtagMismatch("task", "r2"), 412, "ETAG_MISMATCH"),
    (refusal(Kind.RESOURCE_EXHAUSTED, "RATE_LIMITED"), 429, "RATE_LIMITED"),
    (refusal(Kind.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE"), 413, "PAYLOAD_TOO_LARGE"),
    (refusal(Kind.INTERNAL, "INTERNAL"), 500, "INTERNAL"),
    (Unavailable("billing at 10.0.0.7 is away"), 503, "UNAVAILABLE"),
    (refusal(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"), 504, "DEADLINE_EXCEEDED"),
    (refusal(Kind.ABORTED, "SOMETHING_NEW"), 409, "SOMETHING_NEW"),
]


@pytest.mark.parametrize(("raised", "status", "code"), ROWS, ids=[row[2] for row in ROWS])
async def test_each_refusal_has_its_status(client, backend, raised, status, code):
    backend.answers["GetTask"] = raised
    answer = await client.get(TASK, headers={"X-Request-Id": "r-1"})
    assert answer.status_code == status
    body = answer.json()
    assert (body["success"], body["code"], body["request_id"]) == (False, code, "r-1")
    assert isinstance(body["error"], str)
    assert isinstance(body["errors"], dict)


@pytest.mark.parametrize("reason", ["UNAUTHENTICATED", "TOKEN_EXPIRED", "KEY_REVOKED"])
async def test_refused_credentials_are_401_and_say_what_is_accepted(stack, reason):
    stack.credentials.known["Bearer old"] = Unauthenticated("No.", reason=reason)
    answer = await stack.client.get(TASK, headers={"Authorization": "Bearer old"})
    assert answer.status_code == 401
    assert answer.json()["code"] == reason
    assert answer.headers["www-authenticate"] == "Bearer, ApiKey"
    assert stack.backend.heard == []


async def test_a_wrong_password_is_401_though_a_service_says_so(client, backend):
    backend.answers["Login"] = Unauthenticated("Address or password is wrong.")
    answer = await client.post(LOGIN, json={"email": "a@b.example", "password": "x"})
    assert answer.status_code == 401
    assert answer.json()["error"] == "Address or password is wrong."


async def test_missing_credits_are_told_in_numbers(client, backend):
    backend.answers["GetTask"] = refusal(
        Kind.FAILED_PRECONDITION, "INSUFFICIENT_CREDITS", required="30", available="7"
    )
    answer = await client.get(TASK)
    assert answer.json()["details"] == {"required": 30, "available": 7}


async def test_amounts_with_a_unit_are_told_in_numbers(client, backend):
    backend.answers["GetTask"] = refusal(
        Kind.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE", limit_bytes="1024", wait_s="soon"
    )
    answer = await client.get(TASK)
    assert answer.json()["details"] == {"limit_bytes": 1024, "wait_s": "soon"}


async def test_the_metadata_of_other_refusals_is_shown_as_it_is(client, backend):
    backend.answers["GetTask"] = AlreadyExists("cluster", "123")
    assert (await client.get(TASK)).json()["details"] == {"resource": "cluster", "id": "123"}


@pytest.mark.parametrize("names", [("a", "b", "c", "d"), ("d", "c", "b", "a")])
def test_details_stand_in_one_order_whatever_order_they_come_in(names):
    """Maps of protobuf come in another one from every process."""
    known = refusal(Kind.ALREADY_EXISTS, "ALREADY_EXISTS", **dict.fromkeys(names, "x"))
    assert [*json.loads(errors.refused(known, "r").body)["details"]] == ["a", "b", "c", "d"]


async def test_a_refusal_may_say_when_to_come_back(client, backend):
    backend.answers["GetTask"] = refusal(
        Kind.RESOURCE_EXHAUSTED, "RATE_LIMITED", retry_after_s="17"
    )
    answer = await client.get(TASK)
    assert answer.headers["retry-after"] == "17"
    assert "details" not in answer.json()


async def test_faults_of_a_service_are_named_as_the_client_wrote_them(stack, brief):
    answer = await stack.client.post(
        "/api/v1/writer/tasks",
        params=stack.scope,
        json={**brief, "title": " ", "cluster_id": "not-a-uuid", "word_count": 5},
    )
    assert answer.status_code == 400
    assert answer.json()["errors"] == {
        "title": ["must not be blank"],
        "cluster_id": ["must be a UUID"],
        "word_count": ["must be from 100 to 10000"],
    }
    assert answer.json()["error"] == "The request is not valid: see title, cluster_id, word_count."


async def test_a_sentence_that_says_more_than_names_is_kept(client, backend):
    backend.answers["ListTasks"] = Refusal(
        Kind.INVALID_ARGUMENT,
        "INVALID_FIELDS",
        "Two rules contradict each other.",
        violations=(Violation("order_by", "contradicts"),),
    )
    answer = await client.get("/api/v1/writer/tasks")
    assert answer.json()["error"] == "Two rules contradict each other."
    assert answer.json()["errors"] == {"ordering": ["contradicts"]}


async def test_too_many_ids_have_a_reason_of_their_own(client):
    answer = await client.post(
        "/api/v1/writer/tasks/auto_generate_content",
        json={"ids": [str(number) for number in range(11)]},
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "TOO_MANY_ITEMS"
    assert list(answer.json()["errors"]) == ["ids"]


async def test_an_unexpected_error_tells_its_id_and_nothing_else(client, backend):
    backend.answers["GetTask"] = RuntimeError("the password is hunter2")
    answer = await client.get(TASK, headers={"X-Request-Id": "r-2"})
    assert answer.status_code == 500
    assert answer.json() == {
        "success": False,
        "error": "Something went wrong on our side.",
        "code": "INTERNAL",
        "errors": {},
        "request_id": "r-2",
    }


async def test_an_unexpected_error_of_the_gateway_tells_nothing_either(stack, caplog):
    stack.credentials.known["Bearer broken"] = ZeroDivisionError("secret place")
    answer = await stack.client.get(TASK, headers={"Authorization": "Bearer broken"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "secret place" in caplog.text


@pytest.mark.parametrize(
    "raised", [Unavailable("10.0.0.7 is away"), refusal(Kind.DEADLINE_EXCEEDED, "X", at="10.0.0.7")]
)
async def test_trouble_inside_is_not_described(client, backend, raised):
    backend.answers["GetTask"] = raised
    assert "10.0.0.7" not in (await client.get(TASK)).text


async def test_a_service_that_is_down_is_503(stack):
    await stack.servers["tasks"]._server.stop(None)
    answer = await stack.client.get(TASK)
    assert answer.status_code == 503
    assert "127.0.0.1" not in answer.text
    assert "tasks" not in answer.text


async def test_a_service_that_is_too_slow_is_504(make_stack, monkeypatch):
    monkeypatch.setattr(endpoint, "TIMEOUT_S", 0.15)
    released = asyncio.Event()

    async def stall(request, context):
        await released.wait()

    async with make_stack("tasks") as opened:
        opened.backend.answers["GetTask"] = stall
        answer = await opened.client.get(TASK)
        released.set()
    assert answer.status_code == 504
    assert answer.json()["code"] == "DEADLINE_EXCEEDED"


async def test_a_service_that_distrusts_the_gateway_is_our_fault_not_the_clients(
    client, backend, caplog
):
    backend.answers["GetTask"] = Unauthenticated("The caller token is not valid.")
    with caplog.at_level(logging.ERROR):
        answer = await client.get(TASK)
    assert answer.status_code == 500
    assert "refused the gateway's token" in caplog.text


async def test_an_answer_that_cannot_be_written_is_an_internal_error(make_stack):
    endless = content_pb2.Content(id="c")
    endless.external_metadata.fields["n"].number_value = float("inf")
    async with make_stack("content") as opened:
        opened.backend.answers["GetContent"] = endless
        answer = await opened.client.get("/api/v1/writer/content/c")
    assert answer.status_code == 500
    assert answer.json()["code"] == "INTERNAL"
