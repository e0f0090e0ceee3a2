"""Headers: what a client may say, and that nothing of it is passed on as it came."""

import re

import httpx
import pytest
from writer.identity.v1 import identity_pb2

TASK = "/api/v1/writer/tasks/x"
OURS = {"writer-caller", "x-request-id", "traceparent"}
# What gRPC itself adds to a call.
TRANSPORT = {"user-agent", "grpc-accept-encoding", "accept-encoding"}
SMUGGLED = [
    ("writer-caller", "forged"),
    ("Writer-Caller", "forged"),
    ("WRITER-CALLER", "forged"),
    ("Writer-Caller-Bin", "Zm9yZ2Vk"),
    ("writer_caller", "forged"),
    ("Grpc-Metadata-Writer-Caller", "forged"),
    ("grpc-timeout", "99H"),
    ("grpc-status-details-bin", "AAAA"),
    ("x-request-id-bin", "Zm9yZ2Vk"),
    ("traceparent-bin", "Zm9yZ2Vk"),
    ("tracestate", "a=b"),
    ("baggage", "a=b"),
    ("te", "trailers"),
    (":authority", "evil"),
    ("x-acting-for", "other"),
    ("x-client-address", "forged"),
    ("cookie", "session=1"),
]


def metadata_of(backend):
    return [(key, value) for key, value in backend.last.metadata if key not in TRANSPORT]


@pytest.mark.parametrize("header", SMUGGLED, ids=lambda header: header[0])
@pytest.mark.parametrize("times", [1, 2])
async def test_no_header_of_a_client_reaches_a_service(client, backend, task, header, times):
    backend.answers["GetTask"] = task
    sent = [header] * times
    answer = await client.get(TASK, headers=[("Authorization", "Bearer owner"), *sent])
    assert answer.status_code == 200
    metadata = metadata_of(backend)
    assert {key for key, _ in metadata} == OURS
    assert len(metadata) == len(OURS)
    assert not any("forged" in str(value) for _, value in metadata)
    assert backend.last.who.principal == "user:1"


async def test_a_forged_caller_does_not_replace_credentials(client, backend):
    answer = await client.get(
        TASK, headers={"Authorization": "", "Writer-Caller": "forged", "X-Account-Id": "a"}
    )
    assert answer.status_code == 401
    assert backend.heard == []


async def test_a_public_method_stays_anonymous_whatever_is_sent(client, backend):
    backend.answers["Login"] = identity_pb2.Session()
    await client.post(
        "/api/v1/auth/login",
        json={"email": "a@b.example", "password": "x"},
        headers={"Writer-Caller": "forged"},
    )
    assert backend.last.who.principal == "anonymous"


@pytest.mark.parametrize(
    "name", ["Authorization", "X-Site-Id", "X-Sector-Id", "Idempotency-Key", "If-Match", "Host"]
)
async def test_a_header_that_decides_something_is_sent_once(client, backend, name):
    headers = [("Authorization", "Bearer owner"), (name, "a"), (name, "b")]
    answer = await client.get(TASK, headers=headers)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [name.lower()]
    assert backend.heard == []


async def test_a_sane_request_id_is_kept_everywhere(client, backend, task):
    backend.answers["GetTask"] = task
    answer = await client.get(TASK, headers={"X-Request-Id": "Client-1.2_3"})
    assert answer.headers["x-request-id"] == "Client-1.2_3"
    assert answer.json()["request_id"] == "Client-1.2_3"
    assert dict(backend.last.metadata)["x-request-id"] == "Client-1.2_3"
    assert backend.last.who.request_id == "Client-1.2_3"


@pytest.mark.parametrize("sent", ["", "x" * 65, 'a"b', "a b", "a\\u0000", "ä", "<b>"])
async def test_any_other_request_id_is_replaced(client, backend, task, sent):
    backend.answers["GetTask"] = task
    answer = await client.get(TASK, headers={"X-Request-Id": sent.encode("latin-1")})
    made = answer.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f-]{36}", made)
    assert answer.json()["request_id"] == made
    assert dict(backend.last.metadata)["x-request-id"] == made


async def test_two_request_ids_are_none(client, backend, task):
    backend.answers["GetTask"] = task
    headers = [("Authorization", "Bearer owner"), ("X-Request-Id", "a"), ("X-Request-Id", "b")]
    answer = await client.get(TASK, headers=headers)
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.json()["request_id"])


async def test_a_trace_is_continued_with_a_span_of_our_own(client, backend, task):
    backend.answers["GetTask"] = task
    trace, span = "ab" * 16, "cd" * 8
    await client.get(TASK, headers={"traceparent": f"00-{trace}-{span}-01"})
    version, heard_trace, heard_span, flags = dict(backend.last.metadata)["traceparent"].split("-")
    assert (version, heard_trace, flags) == ("00", trace, "01")
    assert heard_span != span


@pytest.mark.parametrize("sent", ["", "nonsense", f"00-{'0' * 32}-{'cd' * 8}-01", "00-xyz-1-01"])
async def test_a_trace_that_is_none_is_begun(client, backend, task, sent):
    backend.answers["GetTask"] = task
    await client.get(TASK, headers={"traceparent": sent})
    heard = dict(backend.last.metadata)["traceparent"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", heard)
    assert "0" * 32 not in heard


@pytest.mark.parametrize("path", [TASK, "/nowhere", "/healthz"])
async def test_every_answer_has_the_security_headers(client, backend, task, path):
    backend.answers["GetTask"] = task
    answer = await client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


async def test_an_endless_credential_is_refused_unread(stack):
    answer = await stack.client.get(TASK, headers={"Authorization": "Bearer " + "x" * 5_000})
    assert answer.status_code == 401


async def test_no_credentials_are_401(stack):
    transport = httpx.ASGITransport(stack.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as stranger:
        assert (await stranger.get(TASK)).status_code == 401
