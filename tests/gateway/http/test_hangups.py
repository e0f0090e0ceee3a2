"""Deadlines and hang-ups over real sockets: what is given up, and what goes on."""

import asyncio

import httpx
import pytest
from support.sockets import serving, wait_for
from writer.tasks.v1 import runs_pb2, tasks_pb2

from gateway.http import hangups
from gateway.transcoding import endpoint

OWNER = b"Host: t\r\nAuthorization: Bearer owner\r\n"
TASKS = b"/api/v1/writer/tasks"


@pytest.fixture
async def stack(make_stack, monkeypatch):
    monkeypatch.setattr(hangups, "WATCH_AFTER_S", 0.01)
    async with make_stack("tasks", "images") as opened:
        yield opened


@pytest.fixture
async def port(stack):
    async with serving(stack.app) as number:
        yield number


class Work:
    """A servicer's work that waits until it is told to end, and remembers how it ended."""

    def __init__(self, answer):
        self.go_on = asyncio.Event()
        self.ended = ""
        self._answer = answer

    async def __call__(self, _request, _context):
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "done"
        return self._answer


async def hang_up_during(port, backend, verb, path, body=b""):
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    framing = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    writer.write(b"%s %s HTTP/1.1\r\n%s%s\r\n%s" % (verb, path, OWNER, framing, body))
    await wait_for(lambda: backend.heard)
    writer.transport.abort()


@pytest.mark.parametrize(
    ("method", "path"), [("GetTask", TASKS + b"/x"), ("ListTasks", TASKS + b"?search=slow")]
)
async def test_a_read_is_given_up_when_its_client_hangs_up(port, backend, method, path, caplog):
    caplog.set_level("INFO", "gateway.requests")
    backend.answers[method] = work = Work(tasks_pb2.Task())
    await hang_up_during(port, backend, b"GET", path)
    await wait_for(lambda: work.ended)
    assert work.ended == "cancelled"
    await wait_for(lambda: caplog.records)
    assert (caplog.records[0].status, caplog.records[0].reason) == (499, "CLIENT_GONE")


@pytest.mark.parametrize(
    ("method", "verb", "path", "answer"),
    [
        ("GenerateContent", b"POST", TASKS + b"/auto_generate_content", runs_pb2.Run()),
        ("CreateTask", b"POST", TASKS, tasks_pb2.Task()),
    ],
)
async def test_a_write_goes_on_when_its_client_hangs_up(
    stack, port, method, verb, path, answer, caplog
):
    caplog.set_level("INFO", "gateway.requests")
    stack.backend.answers[method] = work = Work(answer)
    brief = (
        b'{"ids":["a"]}'
        if method == "GenerateContent"
        else b'{"title":"T","cluster_id":"0199aaaa-0000-7000-8000-0000000000c1",'
        b'"content_type":"post","content_structure":"guide",'
        b'"site_id":"%s","sector_id":"%s"}' % (stack.site.encode(), stack.sector.encode())
    )
    await hang_up_during(port, stack.backend, verb, path, brief)
    # A read on the same gateway is answered meanwhile: the hang-up has been noticed by then.
    stack.backend.answers["GetTask"] = tasks_pb2.Task()
    async with httpx.AsyncClient(headers={"Authorization": "Bearer owner"}) as client:
        await client.get(f"http://127.0.0.1:{port}{TASKS.decode()}/x")
    assert work.ended == ""
    work.go_on.set()
    await wait_for(lambda: work.ended)
    assert work.ended == "done"
    await wait_for(lambda: len(caplog.records) == 2)


async def test_a_file_is_given_up_when_its_client_hangs_up(port, backend, picture, caplog):
    caplog.set_level("INFO", "gateway.requests")
    _, chunks = picture

    def endless():
        yield type(chunks[0])(
            mime_type="image/png", sha256="ab" * 32, total_bytes=2**31 - 1, data=b"x" * 65_536
        )
        while True:
            yield type(chunks[0])(data=b"x" * 65_536)

    backend.answers["GetImageFile"] = endless()
    await hang_up_during(port, backend, b"GET", b"/api/v1/writer/images/p/file")
    await wait_for(lambda: caplog.records)
    assert caplog.records[0].reason == "CLIENT_GONE"


async def test_the_deadline_of_a_call_travels_and_ends_the_work(make_stack, monkeypatch):
    monkeypatch.setattr(endpoint, "TIMEOUT_S", 0.3)
    async with make_stack("tasks") as stack, serving(stack.app) as port:
        stack.backend.answers["GetTask"] = work = Work(tasks_pb2.Task())
        async with httpx.AsyncClient(headers={"Authorization": "Bearer owner"}) as client:
            answer = await client.get(f"http://127.0.0.1:{port}{TASKS.decode()}/x")
        assert (answer.status_code, answer.json()["code"]) == (504, "DEADLINE_EXCEEDED")
        await wait_for(lambda: work.ended)
        assert work.ended == "cancelled"
        assert stack.backend.last.time_left_s <= 0.3


async def test_every_answer_and_every_line_carries_request_and_trace(port, backend, caplog):
    caplog.set_level("INFO", "gateway.requests")
    backend.answers["GetTask"] = tasks_pb2.Task()
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    sent = {"Authorization": "Bearer owner", "X-Request-Id": "mine", "traceparent": trace}
    async with httpx.AsyncClient(headers=sent) as client:
        for path in ("/api/v1/writer/tasks/x", "/api/v1/writer/tasks?nope=1", "/no", "/healthz"):
            answer = await client.get(f"http://127.0.0.1:{port}{path}")
            assert answer.headers["x-request-id"] == "mine"
            assert answer.headers["x-trace-id"] == "ab" * 16
            assert answer.json()["request_id"] == "mine"
