"""Bounds of requests and connections: each is sent once too much, over real sockets."""

import asyncio

import httpx
import pytest
from support.sockets import WAIT_S, exchange, parsed, serving, unread, wait_for

from chassis.settings import Settings, SettingsError
from gateway.http.bounds import BODY_BYTES_CEILING, Bounds

GET = (
    b"GET /api/v1/writer/tasks/x HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer owner\r\n"
    b"Connection: close\r\n"
)
SMALL = Bounds(headers=10, query_bytes=300, items=10, body_bytes=2_000, connections=3)
BULK = "/api/v1/writer/tasks/auto_generate_content"
VARIABLES = {
    "WRITER_HEAD_BYTES_MAX": "head_bytes",
    "WRITER_HEADERS_MAX": "headers",
    "WRITER_QUERY_BYTES_MAX": "query_bytes",
    "WRITER_BODY_BYTES_MAX": "body_bytes",
    "WRITER_ITEMS_MAX": "items",
    "WRITER_CONNECTIONS_MAX": "connections",
    "WRITER_HEAD_TIMEOUT_S": "head_timeout_s",
    "WRITER_BODY_TIMEOUT_S": "body_timeout_s",
    "WRITER_WRITE_TIMEOUT_S": "write_timeout_s",
    "WRITER_KEEP_ALIVE_S": "keep_alive_s",
}


@pytest.fixture
async def stack(make_stack, task):
    async with make_stack("tasks", "images", bounds=SMALL) as opened:
        opened.backend.answers["GetTask"] = task
        yield opened


@pytest.fixture
async def port(stack):
    async with serving(stack.app, connections=3, headers=SMALL.headers) as number:
        yield number


async def test_more_headers_than_allowed_are_431(port, backend):
    many = b"".join(b"X-%d: a\r\n" % number for number in range(7))
    assert parsed(await exchange(port, GET, many, b"\r\n"))[0] == 200
    status, headers, body = parsed(await exchange(port, GET, many, b"X-More: a\r\n\r\n"))
    assert (status, body["code"]) == (431, "HEADERS_TOO_LARGE")
    assert headers["x-request-id"] == body["request_id"]
    assert len(backend.heard) == 1


async def test_a_query_that_is_too_long_is_414(port, backend):
    for length, status in ((300, 400), (301, 414)):
        asked = GET.replace(b"/x ", b"/x?" + b"a" * length + b" ")
        found, _, body = parsed(await exchange(port, asked, b"\r\n"))
        assert found == status
    assert body["code"] == "ADDRESS_TOO_LONG"
    assert body["details"] == {"limit_bytes": 300}
    assert backend.heard == []


async def test_a_body_that_is_too_large_is_413(stack):
    answer = await stack.client.post(BULK, json={"ids": ["a" * 2_000]})
    assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ids": ["a"] * 11}, "ids"),
        ({"free": {"deep": [{"list": list(range(11))}]}}, "free.deep[0].list"),
        ([[1] * 11], "[0]"),
    ],
)
async def test_a_list_that_is_too_long_is_named(stack, body, field):
    answer = await stack.client.post(BULK, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "TOO_MANY_ITEMS")
    assert answer.json()["errors"] == {field: ["must have at most 10 items"]}
    assert stack.backend.heard == []


async def test_connections_beyond_the_bound_are_told_so_and_others_go_on(port):
    kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    status, headers, body = parsed(await exchange(port, GET, b"\r\n"))
    assert (status, body["code"], headers["retry-after"]) == (503, "OVERLOADED", "1")
    reader, writer = kept[0]
    writer.write(GET + b"\r\n")
    async with asyncio.timeout(WAIT_S):
        assert parsed(await reader.read())[0] == 200
    for _, writer in kept:
        writer.close()


async def test_a_client_that_reads_nothing_is_cut_off(make_stack, picture, caplog):
    caplog.set_level("INFO", "gateway.requests")
    _, chunks = picture
    big = chunks[0].__class__(
        mime_type="image/png", sha256="ab" * 32, total_bytes=40 * 2**20, data=b"x" * 2**20
    )
    chunk = chunks[0].__class__(data=b"x" * 2**20)
    async with make_stack("images") as stack:
        stack.backend.answers["GetImageFile"] = [big, *[chunk] * 39]
        asked = b"GET /api/v1/writer/images/p/file HTTP/1.1\r\nHost: t\r\n\r\n"
        async with serving(stack.app, write_timeout_s=0.2) as port, unread(port, asked):
            await wait_for(lambda: caplog.records)
            assert caplog.records[0].reason == "CLIENT_GONE"
            assert caplog.records[0].body_bytes < 40 * 2**20


async def test_a_client_that_reads_slowly_gets_all_of_its_answer():
    async def app(scope, receive, send):
        headers = [(b"content-length", b"%d" % (2 * 2**20))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 2 * 2**20})

    asked = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
    served = serving(app, write_timeout_s=0.1, keep_alive_s=0.2)
    async with served as port, unread(port, asked, receive_buffer_bytes=16_384) as sock:
        loop, read = asyncio.get_running_loop(), 0
        begun = loop.time()
        while read < 2 * 2**20:
            part = await loop.sock_recv(sock, 65_536)
            assert part, read
            read += len(part)
            # At its own pace: all of it takes several times the limit.
            await asyncio.sleep(max(0.0, begun + 0.5 * read / 2**20 - loop.time()))


async def test_an_idle_connection_is_closed(stack):
    async with serving(stack.app, keep_alive_s=0.1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET.replace(b"Connection: close\r\n", b"") + b"\r\n")
        async with asyncio.timeout(WAIT_S):
            assert parsed(await reader.read())[0] == 200
        writer.close()


async def test_what_never_became_a_request_is_answered_and_logged_like_one(port, caplog):
    caplog.set_level("INFO", "gateway.requests")
    status, headers, body = parsed(await exchange(port, b"nonsense\r\n\r\n"))
    assert status == 400
    assert headers["x-request-id"] == body["request_id"]
    assert headers["content-security-policy"].startswith("default-src 'none'")
    (line,) = [record for record in caplog.records if record.name == "gateway.requests"]
    assert (line.reason, line.status, line.client) == ("MALFORMED_REQUEST", 400, "127.0.0.1")
    assert line.request_id == body["request_id"]


async def test_only_a_trusted_proxy_says_who_the_client_is(stack, caplog):
    caplog.set_level("INFO", "gateway.requests")
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
    for proxies in ("", "127.0.0.0/8"):
        async with (
            serving(stack.app, trusted_proxies=proxies) as port,
            httpx.AsyncClient() as client,
        ):
            await client.get(f"http://127.0.0.1:{port}/healthz", headers=forwarded)
    assert [record.client for record in caplog.records] == ["127.0.0.1", "198.51.100.7"]


@pytest.mark.parametrize("said", ["\xe9", "x" * 70, "a\tb"])
async def test_what_a_proxy_says_of_a_client_is_taken_when_it_can_be_said_again(
    stack, said, caplog
):
    caplog.set_level("INFO", "gateway.requests")
    async with (
        serving(stack.app, trusted_proxies="127.0.0.0/8") as port,
        httpx.AsyncClient() as client,
    ):
        answer = await client.get(
            f"http://127.0.0.1:{port}/api/v1/writer/tasks/x",
            headers={"X-Forwarded-For": said.encode("latin-1")},
        )
    assert answer.status_code < 500
    assert [record.client for record in caplog.records] == [""]


def settings(**variables):
    needed = ("LISTEN", "DATABASE_URL", "NATS_URL", "SIGNING_KEY", "TRUSTED_KEYS")
    return Settings.from_env("gateway", {f"WRITER_{name}": "x" for name in needed} | variables)


def test_each_bound_has_a_variable():
    assert Bounds.from_settings(settings()) == Bounds()
    assert set(VARIABLES.values()) == set(Bounds.__dataclass_fields__)
    for variable, name in VARIABLES.items():
        found = Bounds.from_settings(settings(**{variable: "5000"}))
        assert getattr(found, name) == 5_000
        for wrong in ("0", "many", "-1"):
            with pytest.raises(SettingsError, match=variable):
                Bounds.from_settings(settings(**{variable: wrong}))
    with pytest.raises(SettingsError, match="at most"):
        Bounds.from_settings(settings(WRITER_BODY_BYTES_MAX=str(BODY_BYTES_CEILING + 1)))
