"""Headers: what a client may say, and that nothing of it is passed on as it came."""

import re

import httpx
import pytest
from support.sockets import exchange, parsed, serving
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


RAW = [
    b"Writer-Caller: forged",
    b"wRiTeR-cAlLeR: forged",
    b"writer_caller: forged",
    b"Writer_Caller: forged",
    b"writer%2dcaller: forged",
    b"writer%2Dcaller-bin: Zm9yZ2Vk",
    b"writer.caller: forged",
    b"writer-caller-bin: Zm9yZ2Vk",
    b"Writer-Caller-Bin: Zm9yZ2Vk,Zm9yZ2Vk",
    b"x_request_id: forged",
    b"X-Request-Id-Bin: Zm9yZ2Vk",
    b"traceparent-bin: Zm9yZ2Vk",
    b"Grpc-Metadata-Writer-Caller: forged",
    b"grpc-timeout: 1n",
    b"grpc-encoding: gzip",
    b"grpc-accept-encoding: forged",
    b"grpc-message-type: forged",
    b"grpc-previous-rpc-attempts: 99",
    b"grpc-retry-pushback-ms: 99",
    b"proxy-authorization: forged",
    b"authorization-bin: Zm9yZ2Vk",
    b"x-forwarded-for: 203.0.113.9",
    b"user-agent: forged",
    b"te: trailers",
    b"forwarded: for=forged",
]


async def test_no_spelling_on_the_wire_reaches_a_service(stack, task):
    stack.backend.answers["GetTask"] = task
    start = b"GET %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n" % TASK.encode()
    async with serving(stack.app) as port:
        for lines in (RAW, [line for line in RAW for _ in range(2)], *([line] for line in RAW)):
            head = start + b"".join(line + b"\r\n" for line in lines)
            raw = await exchange(port, head, b"Authorization: Bearer owner\r\n\r\n")
            assert parsed(raw)[0] == 200, raw
            metadata = metadata_of(stack.backend)
            assert sorted(key for key, _ in metadata) == sorted(OURS)
            assert "forged" not in str(stack.backend.last.metadata)
            assert stack.backend.last.who.principal == "user:1"
            assert stack.backend.last.time_left_s > 5


async def test_what_comes_behind_a_body_is_no_header(stack):
    stack.backend.answers["Login"] = identity_pb2.Session()
    body = b'{"email":"a@b.example","password":"x"}'
    post = (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
        b"Trailer: Writer-Caller, Authorization\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(body), body)
    )
    trailers = b"Writer-Caller: forged\r\nAuthorization: Bearer owner\r\n\r\n"
    async with serving(stack.app) as port:
        assert parsed(await exchange(port, post, trailers))[0] == 200
        assert stack.backend.last.who.principal == "anonymous"
        assert "forged" not in str(stack.backend.last.metadata)
        # The request never ends. Who goes on sending may not hear why it is refused.
        endless = await exchange(port, post, b"X-Long: ", b"a" * 600_000)
        assert endless == b"" or parsed(endless)[0] == 431
    assert len(stack.backend.heard) == 1


async def test_a_body_in_the_smallest_chunks_is_read(stack):
    stack.backend.answers["Login"] = identity_pb2.Session()
    body = b'{"email":"a@b.example","password":"%s"}' % (b"x" * 50)
    post = (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body + b" " * 50_000)
    async with serving(stack.app) as port:
        parts = [chunks[at : at + 4_096] for at in range(0, len(chunks), 4_096)]
        assert parsed(await exchange(port, post, *parts, b"0\r\n\r\n"))[0] == 200


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


@pytest.mark.parametrize("name", ["Authorization", "X-Site-Id", "X-Sector-Id", "Idempotency-Key"])
async def test_a_header_that_decides_something_is_sent_once(client, backend, name):
    headers = [("Authorization", "Bearer owner"), (name, "a"), (name, "b")]
    answer = await client.get(TASK, headers=headers)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [name]
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
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    csp = "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["content-security-policy"] == csp
    assert "strict-transport-security" not in answer.headers
    assert "server" not in answer.headers


async def test_https_is_demanded_where_clients_come_by_it(make_stack):
    async with make_stack("tasks", public_url="https://writer.example") as stack:
        answer = await stack.client.get("/healthz")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_an_endless_credential_is_refused_unread(stack):
    answer = await stack.client.get(TASK, headers={"Authorization": "Bearer " + "x" * 5_000})
    assert answer.status_code == 401


async def test_no_credentials_are_401(stack):
    transport = httpx.ASGITransport(stack.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as stranger:
        assert (await stranger.get(TASK)).status_code == 401
