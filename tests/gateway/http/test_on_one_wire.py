"""What comes behind a request on its connection: other requests, nonsense, an end."""

import asyncio
import gc
import socket
import struct
from dataclasses import replace

import pytest
from google.protobuf import empty_pb2
from support.sockets import WAIT_S, exchange, parsed, serving, wait_for
from writer.tasks.v1 import runs_pb2

from gateway.http.hangups import WATCH_AFTER_S
from gateway.http.protocol import WAITING_BYTES_MAX, WAITING_MAX, BoundedProtocol

HEAD = b"Host: t\r\nAuthorization: Bearer owner\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"
READ = b"GET /api/v1/writer/tasks/x HTTP/1.1\r\n" + HEAD
BODY = b'{"ids":["a"]}'
PATH = b"/api/v1/writer/tasks/auto_generate_content"
WRITE = b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (PATH, JSON, len(BODY), BODY)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"
BROKEN = b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
CHUNKED = b"POST /api/v1/writer/tasks HTTP/1.1\r\n" + JSON + BROKEN
END = b"Connection: close\r\n\r\n"
LARGE = WAITING_BYTES_MAX // 2 + 1


class Slow:
    """Work of a service that waits until it is told to go on."""

    def __init__(self, answer):
        self.go_on = asyncio.Event()
        self._answer = answer

    async def __call__(self, _request, _context):
        await self.go_on.wait()
        return self._answer


@pytest.fixture
def lines(caplog):
    caplog.set_level("INFO")
    return lambda: [record for record in caplog.records if record.name == "gateway.requests"]


@pytest.fixture
def warnings(caplog):
    return lambda: [record for record in caplog.records if record.levelname != "INFO"]


async def answers(reader):
    """Each answer until the server closes the connection."""
    async with asyncio.timeout(WAIT_S):
        found = await reader.read()
    return [parsed(b"HTTP/1.1" + each) for each in found.split(b"HTTP/1.1")[1:]]


@pytest.mark.parametrize("behind", [b"GARBAGE\r\n\r\n", CHUNKED], ids=["garbage", "a chunk"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_nonsense_behind_a_request_costs_it_nothing(stack, behind, at_once, lines, warnings):
    work = stack.backend.answers["GenerateContent"] = Slow(runs_pb2.Run(id="r"))
    async with serving(stack.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WRITE + behind if at_once else WRITE)
        await wait_for(lambda: stack.backend.heard)
        if not at_once:
            writer.write(behind)
            await writer.drain()
        work.go_on.set()
        first, second = await answers(reader)
        writer.close()
        await wait_for(lambda: len(lines()) == 2)
    assert (first[0], first[2]["data"]["id"]) == (202, "r")
    assert (second[0], second[2]["code"]) == (400, "MALFORMED_REQUEST")
    assert second[1]["connection"] == "close"
    assert len(stack.backend.heard) == 1
    assert warnings() == []


@pytest.mark.parametrize("behind", [b"\r\n", b"\r\n\r\n", b"GET /heal"])
async def test_the_time_for_a_head_begins_when_nothing_else_is_answered(
    stack, behind, lines, warnings
):
    work = stack.backend.answers["GenerateContent"] = Slow(runs_pb2.Run(id="r"))
    async with serving(stack.app, head_timeout_s=0.1, keep_alive_s=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WRITE + behind)
        await wait_for(lambda: stack.backend.heard)
        await asyncio.sleep(0.2)
        work.go_on.set()
        found = await answers(reader)
        writer.close()
    statuses = [status for status, *_ in found]
    # An empty line is no request; half of a head is one that never came.
    assert statuses == ([202, 408] if behind.strip() else [202])
    assert warnings() == []


async def test_an_empty_line_before_a_request_is_no_part_of_it(stack, task):
    stack.backend.answers["GetTask"] = task
    async with serving(stack.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for sent in (b"\r\n" + READ + b"\r\n", b"\r\n", b"\r\n" + READ + END):
            writer.write(sent)
            await writer.drain()
        found = await answers(reader)
        writer.close()
    assert [status for status, *_ in found] == [200, 200]


async def test_requests_that_come_together_are_answered_in_their_order(stack, task):
    stack.backend.answers |= {"GetTask": task, "GenerateContent": runs_pb2.Run(id="r")}
    async with serving(stack.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(READ + b"\r\n" + WRITE + HEALTH + READ + END)
        found = await answers(reader)
        writer.close()
    assert [status for status, *_ in found] == [200, 202, 200, 200]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_hang_up_ends_the_request_that_runs_and_those_behind_it(
    stack, task, at_once, lines, warnings
):
    work = stack.backend.answers["GetTask"] = Slow(task)
    async with serving(stack.app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(READ + b"\r\n" + WRITE if at_once else READ + b"\r\n")
        await wait_for(lambda: stack.backend.heard)
        if not at_once:
            # By then its client is watched.
            await asyncio.sleep(2 * WATCH_AFTER_S)
            writer.write(WRITE)
            await writer.drain()
            await asyncio.sleep(WATCH_AFTER_S)
        writer.transport.abort()
        await wait_for(lines)
        work.go_on.set()
    (line,) = lines()
    assert (line.status, line.reason) == (499, "CLIENT_GONE")
    assert len(stack.backend.heard) == 1
    assert warnings() == []


async def answers_behind_a_read(stack, task, behind):
    """The answers to a read and to what has come behind it before it was answered."""
    work = stack.backend.answers["GetTask"] = Slow(task)
    async with serving(stack.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(READ + b"\r\n" + behind)
        await wait_for(lambda: stack.backend.heard)
        work.go_on.set()
        found = await answers(reader)
        writer.close()
    return found


async def test_no_more_requests_wait_than_are_bounded(stack, task, warnings):
    *taken, last = await answers_behind_a_read(stack, task, HEALTH * 1_000)
    assert [status for status, *_ in taken] == [200] * (1 + WAITING_MAX)
    assert (last[0], last[1]["connection"], last[2]["code"]) == (503, "close", "OVERLOADED")
    assert warnings() == []


def post(address=0, header=0, body=0):
    """A request that nobody answers but with 404, and of so many bytes here and there."""
    head = b"POST /none%s HTTP/1.1\r\nHost: t\r\nX-A: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (b"x" * address, b"x" * header, body) + b"x" * body


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(post(body=LARGE), id="bodies"),
        pytest.param(post(header=20_000, body=LARGE - 20_000), id="headers"),
        pytest.param(post(address=20_000, body=LARGE - 20_000), id="addresses"),
    ],
)
async def test_what_waits_is_bounded_in_all(stack, task, sent, warnings):
    found = await answers_behind_a_read(stack, task, sent * 4)
    assert [status for status, *_ in found] == [200, 404, 404, 503]
    assert warnings() == []


async def test_nothing_is_kept_of_a_connection_that_was_reset(stack, only_new_objects):
    async with serving(stack.app) as port:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEALTH)
            await reader.readuntil(b"}")
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert protocols() >= 1
            writer.transport.abort()
        await wait_for(lambda: protocols() == 0)


@pytest.fixture
def only_new_objects():
    """What the whole suite has made is not looked through: there are millions of them."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def protocols():
    gc.collect()
    return sum(isinstance(each, BoundedProtocol) for each in gc.get_objects())


async def test_a_write_without_a_body_is_answered_as_what_it_did(make_stack):
    path = b"/api/v1/billing/budgets/0199aaaa-0000-7000-8000-000000000001"
    sent = b"DELETE %s HTTP/1.1\r\n" % path + HEAD + BROKEN
    async with make_stack("billing") as stack, serving(stack.app) as port:
        stack.backend.answers["DeleteBudget"] = empty_pb2.Empty()
        status, headers, body = parsed(await exchange(port, sent))
        assert (status, headers["connection"], body) == (204, "close", None)
        assert len(stack.backend.heard) == 1


EXPECTING = b"Content-Length: 400\r\nExpect: 100-continue\r\n\r\n"
UNKNOWN = b"POST /api/v1/writer/tasks HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        pytest.param(UNKNOWN + EXPECTING, 401, id="a refusal before its body was asked for"),
        pytest.param(READ + EXPECTING, 200, id="an answer that needs no body"),
        pytest.param(READ + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", 200, id="an upgrade"),
    ],
)
async def test_what_follows_may_not_be_a_request_and_the_connection_ends(
    stack, task, sent, answered
):
    stack.backend.answers["GetTask"] = task
    async with serving(stack.app) as port:
        found = await exchange(port, sent + HEALTH)
    status, headers, _ = parsed(found)
    assert (status, headers["connection"]) == (answered, "close")
    assert found.count(b"HTTP/1.1") == 1


async def test_a_read_that_takes_its_time_asks_for_no_body_either(stack, task):
    slow = stack.backend.answers["GetTask"] = Slow(task)
    async with serving(stack.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(READ + EXPECTING)
        await wait_for(lambda: stack.backend.heard)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 3 * WATCH_AFTER_S)
        slow.go_on.set()
        ((status, headers, _),) = await answers(reader)
        writer.close()
    assert (status, headers["connection"]) == (200, "close")


@pytest.mark.parametrize(("role", "refused"), [(None, 401), ("viewer", 403), ("admin", 202)])
async def test_a_credential_counts_as_it_is_once_the_body_is_there(stack, role, refused):
    stack.backend.answers["GenerateContent"] = runs_pb2.Run(id="r")
    async with serving(stack.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WRITE[:-1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await wait_for(lambda: stack.credentials.asked)
        principal = stack.credentials.known.pop("Bearer owner")
        if role:
            stack.credentials.known["Bearer owner"] = replace(principal, role=role)
        writer.write(WRITE[-1:])
        ((status, _, _),) = await answers(reader)
        writer.close()
    assert status == refused
    assert [each.who.role for each in stack.backend.heard] == [role] * (status == 202)
