"""The HTTP server over real sockets: bounds on heads, bodies and time."""

import asyncio
import contextlib

import httpx
import pytest
from support import sockets
from support.sockets import WAIT_S, exchange, serving, wait_for
from writer.tasks.v1 import tasks_pb2

from gateway.http import outgoing
from gateway.http.bounds import Bounds
from gateway.http.server import http_server, listening_socket

GET = b"GET /api/v1/writer/tasks/x HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer owner\r\n"


@pytest.fixture
async def port(stack):
    async with serving(stack.app) as number:
        yield number


@pytest.fixture
def connect(port):
    opened = []

    async def open_connection():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append(writer)
        return reader, writer

    yield open_connection
    for writer in opened:
        writer.close()


async def talk(connect, *parts):
    """Sends the parts; returns everything until the server closes the connection."""
    reader, writer = await connect()
    for part in parts:
        writer.write(part)
        # A server that has refused already may have closed the connection.
        with contextlib.suppress(ConnectionError):
            await writer.drain()
    async with asyncio.timeout(WAIT_S):
        return await reader.read()


def parsed(raw):
    status, _, body = sockets.parsed(raw)
    return status, body


async def test_it_answers_over_a_real_connection_that_is_kept(port, backend, task):
    backend.answers["GetTask"] = task
    async with httpx.AsyncClient(headers={"Authorization": "Bearer owner"}) as client:
        for _ in range(3):
            answer = await client.get(f"http://127.0.0.1:{port}/api/v1/writer/tasks/x")
            assert answer.json()["data"]["id"] == task.id


async def test_links_name_the_address_that_was_asked(port, backend):
    backend.answers["ListTasks"] = tasks_pb2.ListTasksResponse(
        tasks=[tasks_pb2.Task()], total_size=2
    )
    async with httpx.AsyncClient(headers={"Authorization": "Bearer owner"}) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/api/v1/writer/tasks?page_size=1")
        following = answer.json()["next"]
        assert following.startswith(f"http://127.0.0.1:{port}/api/v1/writer/tasks?")
        assert (await client.get(following)).json()["previous"] is not None


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"a" * Bounds().head_bytes + b"\r\n\r\n",
        b"".join(b"X-%d: a\r\n" % number for number in range(10_000)) + b"\r\n",
    ],
)
async def test_a_head_that_is_too_large_is_refused(connect, backend, head):
    status, body = parsed(await talk(connect, GET, head))
    assert status == 431
    assert body["code"] == "HEADERS_TOO_LARGE"
    assert backend.heard == []


async def test_an_address_that_is_too_long_is_refused(connect):
    long = b"GET /" + b"a" * Bounds().head_bytes + b" HTTP/1.1\r\nHost: t\r\n\r\n"
    assert parsed(await talk(connect, long))[0] == 431


async def test_a_header_that_never_ends_is_refused_and_then_cut_off(connect, monkeypatch):
    monkeypatch.setattr(outgoing, "LINGER_S", 0.1)
    reader, writer = await connect()
    writer.write(GET + b"X-Long: ")

    async def send_for_ever():
        while True:
            writer.write(b"a" * 4096)
            await writer.drain()
            await asyncio.sleep(0)

    sending = asyncio.create_task(send_for_ever())
    async with asyncio.timeout(WAIT_S):
        assert parsed(await reader.read())[0] == 431
        with pytest.raises(ConnectionError):
            await sending


async def test_a_head_of_megabytes_is_answered_though_it_is_not_read_to_its_end(port):
    raw = await exchange(port, GET, b"X-Long: ", *[b"a" * 65_536] * 64, b"\r\n\r\n")
    assert parsed(raw)[0] == 431


@pytest.mark.parametrize(
    "raw", [b"nonsense\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
async def test_what_is_not_http_is_refused_in_the_envelope(connect, raw):
    status, body = parsed(await talk(connect, raw))
    assert status == 400
    assert body["code"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Content-Length : 5\r\n",
    ],
)
async def test_a_body_framed_in_two_ways_is_refused(connect, backend, framing):
    post = b"POST /api/v1/writer/tasks HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer owner\r\n"
    status, _ = parsed(await talk(connect, post + framing + b"\r\nhello"))
    assert status == 400
    assert backend.heard == []


@pytest.mark.parametrize("start", [b"", GET, b"GET /api"])
async def test_a_head_that_does_not_arrive_is_given_up(stack, start):
    async with serving(stack.app, head_timeout_s=0.1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        async with asyncio.timeout(WAIT_S):
            status, body = parsed(await reader.read())
        writer.close()
    assert (status, body["code"]) == (408, "REQUEST_TIMEOUT")


async def test_a_body_that_does_not_arrive_is_given_up(make_stack):
    post = (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
        b'Content-Length: 100\r\n\r\n{"email":'
    )
    bounds = Bounds(body_timeout_s=0.1)
    async with make_stack("identity", bounds=bounds) as stack, serving(stack.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post)
        async with asyncio.timeout(WAIT_S):
            status, body = parsed(await reader.read())
        writer.close()
    assert (status, body["code"]) == (408, "REQUEST_TIMEOUT")


LOGIN = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
CHUNK = b"10000\r\n" + b" " * 65_536 + b"\r\n"


async def test_who_sends_too_much_is_told_so_and_may_go_on_with_the_connection(port):
    async with httpx.AsyncClient(headers={"Authorization": "Bearer owner"}) as client:
        url = f"http://127.0.0.1:{port}/api/v1/writer/tasks"
        for path, status in ((url, 413), (f"{url}/none/of/this", 404)):
            answer = await client.post(path, content=b" " * 20 * Bounds().body_bytes)
            assert answer.status_code == status
        assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200


async def test_who_goes_on_sending_after_the_answer_is_cut_off(connect, monkeypatch):
    monkeypatch.setattr(outgoing, "LINGER_S", 0.1)
    _, writer = await connect()
    writer.write(LOGIN)

    async def send_for_ever():
        while True:
            writer.write(CHUNK)
            await writer.drain()
            await asyncio.sleep(0)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_for_ever(), WAIT_S)


async def test_a_connection_is_not_kept_for_ever_after_a_late_body(stack, monkeypatch):
    monkeypatch.setattr(outgoing, "LINGER_S", WAIT_S * 10)
    async with serving(stack.app, keep_alive_s=0.1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LOGIN + CHUNK * 17 + b"0\r\n\r\n")
        async with asyncio.timeout(WAIT_S):
            assert parsed(await reader.read())[0] == 413
        writer.close()


async def test_a_file_that_breaks_off_closes_the_connection(make_stack, picture):
    _, chunks = picture
    async with make_stack("images") as opened:
        opened.backend.answers["GetImageFile"] = chunks[:2]
        async with serving(opened.app) as port, httpx.AsyncClient() as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"http://127.0.0.1:{port}/api/v1/writer/images/p/file")


async def test_running_requests_end_before_the_server_does(stack, task):
    released = asyncio.Event()

    async def slow(request, context):
        await released.wait()
        return task

    stack.backend.answers["GetTask"] = slow
    listening = listening_socket("127.0.0.1:0")
    http = http_server(stack.app)
    serving_task = asyncio.create_task(http.serve(sockets=[listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1/writer/tasks/x"
    async with httpx.AsyncClient(headers={"Authorization": "Bearer owner"}) as client:
        asked = asyncio.create_task(client.get(url))
        await wait_for(lambda: stack.backend.heard)
        http.should_exit = True
        released.set()
        assert (await asked).status_code == 200
    await serving_task


def test_a_taken_address_is_an_error():
    taken = listening_socket("127.0.0.1:0")
    with pytest.raises(OSError, match="in use"):
        listening_socket(f"127.0.0.1:{taken.getsockname()[1]}")
    taken.close()
