"""Files of images: public by id, whole, cacheable, and nothing but bytes."""

import asyncio

import pytest
from support.sockets import exchange, serving, wait_for
from writer.images.v1 import images_pb2

from chassis.errors import NotFound
from gateway.beside import files

FILE = "/api/v1/writer/images/0199-pic/file"


@pytest.fixture
async def stack(make_stack):
    async with make_stack("images") as opened:
        del opened.client.headers["Authorization"]
        yield opened


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_file_is_streamed_whole_to_anyone(client, backend, picture, slash):
    data, backend.answers["GetImageFile"] = picture
    answer = await client.get(FILE + slash)
    assert answer.status_code == 200
    assert answer.content == data
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["etag"] == f'"{"ab" * 32}"'
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert backend.last.request.id == "0199-pic"
    assert backend.last.who.principal == "anonymous"


async def test_head_has_the_headers_and_no_body(client, backend, picture):
    data, backend.answers["GetImageFile"] = picture
    answer = await client.head(FILE)
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(len(data))
    assert answer.content == b""


@pytest.mark.parametrize("sent", ['"{}"', 'W/"{}"', '"other", "{}"', "*"])
async def test_who_has_the_file_is_not_sent_it_again(client, backend, picture, sent):
    _, backend.answers["GetImageFile"] = picture
    answer = await client.get(FILE, headers={"If-None-Match": sent.format("ab" * 32)})
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == f'"{"ab" * 32}"'


async def test_another_file_is_sent(client, backend, picture):
    data, backend.answers["GetImageFile"] = picture
    answer = await client.get(FILE, headers={"If-None-Match": '"something else"'})
    assert answer.content == data


async def test_no_file_is_404_in_the_envelope(client, backend):
    backend.answers["GetImageFile"] = NotFound("image", "0199-pic")
    answer = await client.get(FILE)
    assert answer.status_code == 404
    assert answer.json()["code"] == "NOT_FOUND"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_file_is_only_read(client):
    answer = await client.post(FILE)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("media", ["text/html", "image/svg+xml", "", "image/png\r\nx: y"])
async def test_what_a_browser_might_run_is_served_as_bytes(client, backend, media):
    backend.answers["GetImageFile"] = [
        images_pb2.ImageFileChunk(mime_type=media, sha256="cd" * 32, total_bytes=3, data=b"<b>")
    ]
    answer = await client.get(FILE)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


WHOLE = 256_000
TAG = f'"{"ab" * 32}"'


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-65535", 0, 65_535),
        ("bytes=65535-65536", 65_535, 65_536),
        ("bytes=100000-", 100_000, WHOLE - 1),
        ("bytes=255999-", WHOLE - 1, WHOLE - 1),
        ("bytes=10-999999999", 10, WHOLE - 1),
        ("bytes=-1", WHOLE - 1, WHOLE - 1),
        ("bytes=-70000", WHOLE - 70_000, WHOLE - 1),
        ("bytes=-999999999", 0, WHOLE - 1),
    ],
)
async def test_a_part_is_sent_as_it_was_asked_for(client, backend, picture, asked, first, last):
    data, backend.answers["GetImageFile"] = picture
    answer = await client.get(FILE, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == data[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{WHOLE}"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.headers["etag"] == TAG


@pytest.mark.parametrize("asked", ["bytes=256000-", "bytes=999999-1000000", "bytes=-0"])
async def test_a_part_behind_the_end_is_416(client, backend, picture, asked):
    _, backend.answers["GetImageFile"] = picture
    answer = await client.get(FILE, headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer.headers["content-range"] == f"bytes */{WHOLE}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,5-9", "bytes=5-2", "bytes=-", "bytes=a-b", "items=0-1", "0-1", "bytes=0x1-2", ""],
)
async def test_several_parts_or_none_mean_the_whole(client, backend, picture, asked):
    data, backend.answers["GetImageFile"] = picture
    answer = await client.get(FILE, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("condition", "status"),
    [(TAG, 206), (f"W/{TAG}", 200), ('"other"', 200), ("Wed, 21 Oct 2026 07:28:00 GMT", 200)],
)
async def test_a_part_of_another_file_is_not_added_to_it(
    client, backend, picture, condition, status
):
    _, backend.answers["GetImageFile"] = picture
    headers = {"Range": "bytes=0-9", "If-Range": condition}
    assert (await client.get(FILE, headers=headers)).status_code == status


async def test_who_has_the_file_gets_no_part_of_it(client, backend, picture):
    _, backend.answers["GetImageFile"] = picture
    headers = {"Range": "bytes=0-9", "If-None-Match": TAG}
    assert (await client.get(FILE, headers=headers)).status_code == 304


async def test_head_tells_of_the_whole_whatever_part_is_asked_for(client, backend, picture):
    _, backend.answers["GetImageFile"] = picture
    answer = await client.head(FILE, headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(WHOLE))


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([TAG], 200),
        (["*"], 200),
        ([f'"other", {TAG}'], 200),
        (['"other"', f"W/{TAG}"], 200),
        (['"other"'], 412),
        (['"other"', '"another"'], 412),
        ([TAG, "*"], 400),
        (['"'], 400),
    ],
)
async def test_a_file_can_be_asked_for_only_as_it_is_known(client, backend, picture, lines, status):
    _, backend.answers["GetImageFile"] = picture
    answer = await client.get(FILE, headers=[("If-Match", line) for line in lines])
    assert answer.status_code == status


async def test_a_file_has_a_name_and_is_shown_or_saved(client, backend, picture):
    _, backend.answers["GetImageFile"] = picture
    shown = (await client.get(FILE)).headers["content-disposition"]
    assert shown == 'inline; filename="0199-pic.png"'
    backend.answers["GetImageFile"] = [
        images_pb2.ImageFileChunk(mime_type="text/html", sha256="cd" * 32, total_bytes=1, data=b"<")
    ]
    saved = (await client.get(FILE)).headers["content-disposition"]
    assert saved == 'attachment; filename="0199-pic"'


async def test_an_empty_file_is_an_empty_file(client, backend):
    backend.answers["GetImageFile"] = [
        images_pb2.ImageFileChunk(mime_type="image/png", sha256="cd" * 32)
    ]
    answer = await client.get(FILE)
    assert (answer.status_code, answer.content) == (200, b"")
    answer = await client.get(FILE, headers={"Range": "bytes=0-"})
    assert answer.status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fetc%2fpasswd",
        "..",
        "%2e%2e",
        "a%00b",
        "a%5cb",
        "a%22b",
        "%252e%252e%252fetc",
        "a%0d%0ax:y",
        "file:%2f%2f%2fetc%2fpasswd",
        "x" * 129,
    ],
)
async def test_an_id_is_never_a_path(client, backend, path):
    backend.answers["GetImageFile"] = NotFound("image", path)
    answer = await client.get(f"/api/v1/writer/images/{path}/file")
    assert answer.status_code == 404


async def test_what_goes_wrong_before_the_first_byte_is_said(client, backend, picture):
    # Its headers were ready, but not on their way.
    backend.answers["GetImageFile"] = [
        images_pb2.ImageFileChunk(
            mime_type="image/png", sha256="ab" * 32, total_bytes=1, data=b"longer than that"
        )
    ]
    answer = await client.get(FILE)
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert answer.headers["content-type"] == "application/json"


async def test_a_stream_without_a_beginning_is_an_internal_error(client, backend):
    backend.answers["GetImageFile"] = []
    assert (await client.get(FILE)).status_code == 500


async def test_a_file_that_does_not_come_in_time_is_504(client, backend, monkeypatch):
    monkeypatch.setattr(files, "STREAM_TIMEOUT_S", 0.05)
    backend.answers["GetImageFile"] = asyncio.Event().wait
    answer = await client.get(FILE)
    assert answer.status_code == 504
    assert answer.json()["code"] == "DEADLINE_EXCEEDED"
    assert answer.headers["x-request-id"]


def a_beginning(picture):
    return picture[1][:1]


def too_much_for_the_time(picture):
    first = picture[1][0]
    size = 40 * 2**20
    begun = images_pb2.ImageFileChunk(
        mime_type="image/png", sha256=first.sha256, total_bytes=size, data=b"x" * 2**20
    )
    return [begun, *[images_pb2.ImageFileChunk(data=b"x" * 2**20)] * 39]


@pytest.mark.parametrize(
    ("chunks", "reads", "reason", "errors"),
    [
        (a_beginning, True, "INTERNAL", ["gateway.requests"]),
        (too_much_for_the_time, False, "DEADLINE_EXCEEDED", []),
    ],
)
async def test_a_file_that_breaks_off_ends_its_connection_and_is_told_once(
    stack, picture, monkeypatch, caplog, chunks, reads, reason, errors
):
    caplog.set_level("INFO")
    monkeypatch.setattr(files, "STREAM_TIMEOUT_S", 0.3)
    stack.backend.answers["GetImageFile"] = chunks(picture)
    asked = f"GET {FILE} HTTP/1.1\r\nHost: t\r\n\r\n".encode()
    async with serving(stack.app) as port:
        if reads:
            sent = await exchange(port, asked)
            assert sent.partition(b"\r\n\r\n")[2] == picture[0][:65536]
        else:
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(asked)
            await wait_for(lambda: lines(caplog))
            writer.transport.abort()
        await wait_for(lambda: lines(caplog))
        assert lines(caplog)[0].reason == reason
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == errors


def lines(caplog):
    return [record for record in caplog.records if getattr(record, "reason", "")]
