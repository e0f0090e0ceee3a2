"""What is refused before it is a request, or in the middle of one, over real sockets."""

import asyncio
import contextlib
import logging

import pytest
from support.sockets import WAIT_S, exchange, parsed, serving, wait_for

from gateway.http import early, errors, protocol
from gateway.http.early import EarlyRefusals
from gateway.http.metrics import Metrics
from gateway.http.security import SecurityHeaders

HEAD = b"HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer owner\r\n"
GET = b"GET /api/v1/writer/tasks/x " + HEAD
POST = b"POST /api/v1/writer/tasks " + HEAD + b"Content-Type: application/json\r\n"
BROKEN = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n"
CLOSE = b"Connection: close\r\n"


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.DEBUG)
    return lambda: [record for record in caplog.records if record.name == "gateway.requests"]


@pytest.fixture
def warnings(caplog):
    return lambda: [record for record in caplog.records if record.levelno > logging.INFO]


def counted(metrics, status):
    wanted = f'writer_gateway_requests_total{{route="none",status="{status}",verb="other"}} '
    found = [line for line in metrics.text().decode().splitlines() if line.startswith(wanted)]
    return float(found[0].rpartition(" ")[2]) if found else 0


async def test_it_has_ids_and_a_count_and_no_warning(stack, lines, warnings):
    metrics = Metrics()
    async with serving(stack.app, metrics=metrics, head_bytes=1_024, head_timeout_s=0.3) as port:
        for sent, status in (
            (b"GARBAGE\r\n\r\n", 400),
            (GET + b"X-Long: " + b"a" * 2_000 + b"\r\n\r\n", 431),
            (b"GET /", 408),
        ):
            found, headers, body = parsed(await exchange(port, sent))
            assert found == status
            assert counted(metrics, status) == 1
            line = lines()[-1]
            assert line.request_id == headers["x-request-id"] == body["request_id"]
            assert line.trace_id == headers["x-trace-id"]
    assert "in_flight 0.0" in metrics.text().decode()
    assert warnings() == []


async def test_an_upgrade_to_something_else_is_answered_without_a_warning(
    stack, task, lines, warnings
):
    stack.backend.answers["GetTask"] = task
    asked = b"Connection: close, upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with serving(stack.app) as port:
        assert parsed(await exchange(port, GET + asked))[0] == 200
    assert len(lines()) == 1
    assert warnings() == []


def test_strangers_do_not_fill_the_log(lines, monkeypatch):
    monkeypatch.setattr(early, "LINES_MAX", 3)
    passed_s = [1_000.0]
    monkeypatch.setattr(early.clock, "elapsed_s", lambda: passed_s[0])
    metrics = Metrics()
    refusals = EarlyRefusals(SecurityHeaders(), metrics)
    for _ in range(10):
        refusals.refuse(errors.not_http(), "203.0.113.9")
    assert len(lines()) == 4
    assert "only counted" in lines()[3].message
    passed_s[0] += early.WINDOW_S
    refusals.refuse(errors.not_http(), "203.0.113.9")
    assert len(lines()) == 5
    assert counted(metrics, 400) == 11


async def test_a_broken_chunk_is_answered_while_nothing_else_was(stack, lines):
    async with serving(stack.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + b"X-Request-Id: mine\r\n" + BROKEN)
        async with asyncio.timeout(WAIT_S):
            status, headers, body = parsed(await reader.read())
        writer.close()
        await wait_for(lines)
    assert (status, body["code"]) == (400, "MALFORMED_REQUEST")
    assert (headers["x-request-id"], headers["connection"]) == ("mine", "close")
    (line,) = lines()
    assert (line.status, line.reason) == (400, "MALFORMED_REQUEST")
    assert stack.backend.heard == []


async def test_a_broken_chunk_that_comes_later_is_answered_as_its_request(stack, lines):
    async with serving(stack.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + b"X-Request-Id: mine\r\nExpect: 100-continue\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        async with asyncio.timeout(WAIT_S):
            # The application has begun to read.
            await reader.readuntil(b"100 Continue\r\n\r\n")
            writer.write(b"zz\r\n")
            status, headers, body = parsed(await reader.read())
        writer.close()
        await wait_for(lines)
    assert (status, headers["x-request-id"], body["request_id"]) == (400, "mine", "mine")
    (line,) = lines()
    assert (line.status, line.route) == (400, "/api/v1/writer/tasks")


async def test_a_broken_chunk_behind_an_answer_is_no_second_answer(stack):
    late = b"POST /api/v1/none " + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    async with serving(stack.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(late)
        async with asyncio.timeout(WAIT_S):
            first = await reader.readuntil(b"}")
            writer.write(b"zz\r\n")
            rest = await reader.read()
        writer.close()
    assert b"HTTP/1.1 404" in first
    assert b"HTTP/1.1" not in rest


async def test_connections_beyond_the_bound_have_a_bound(stack, lines, monkeypatch):
    monkeypatch.setattr(protocol, "REFUSED_MAX", 1)
    metrics = Metrics()
    async with serving(stack.app, metrics=metrics, connections=1) as port:
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(WAIT_S):
            # Closed before it has said anything.
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        assert counted(metrics, 503) == 1
        for _, each in (*kept, (reader, writer)):
            each.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: t\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nHost: t\r\nHost: u\r\n", 400),
        (b"GET /healthz HTTP/2.0\r\n", 400),
        (b"GET /healthz\r\n", 400),
    ],
)
async def test_a_request_of_http_1_1_names_its_host_and_others_are_older(stack, head, status):
    async with serving(stack.app) as port:
        assert parsed(await exchange(port, head + CLOSE + b"\r\n"))[0] == status


@pytest.mark.parametrize(
    ("framing", "body", "found"),
    [
        (b"Content-Length: 2 \r\n", b"{}", (400, "INVALID_FIELDS")),
        (b"Content-Length: 2\r\n", b"{}", (400, "INVALID_FIELDS")),
        (b"Transfer-Encoding: Chunked \r\n", b"2\r\n{}\r\n0\r\n\r\n", (400, "INVALID_FIELDS")),
        (
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"2\r\n{}\r\n0\r\n\r\n",
            (501, "TRANSFER_CODING_UNKNOWN"),
        ),
        (
            b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            b"2\r\n{}\r\n0\r\n\r\n",
            (501, "TRANSFER_CODING_UNKNOWN"),
        ),
    ],
)
async def test_a_body_is_read_as_its_framing_says(stack, framing, body, found):
    async with serving(stack.app) as port:
        status, _, answer = parsed(await exchange(port, POST + CLOSE + framing + b"\r\n" + body))
    assert (status, answer["code"]) == found


async def test_headers_are_counted_while_they_come(stack, lines):
    async with serving(stack.app, headers=20) as port:
        status, headers, body = parsed(await exchange(port, GET, b"a:\r\n" * 30))
    assert (status, body["code"], headers["connection"]) == (431, "HEADERS_TOO_LARGE", "close")
    assert body["error"] == "There are more than 20 headers."
    assert [line.status for line in lines()] == [431]
