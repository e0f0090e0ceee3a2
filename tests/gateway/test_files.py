"""Files of images: public by id, whole, cacheable, and nothing but bytes."""

import pytest
from writer.images.v1 import images_pb2

from chassis.errors import NotFound

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
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("media", ["text/html", "image/svg+xml", "", "image/png\r\nx: y"])
async def test_what_a_browser_might_run_is_served_as_bytes(client, backend, media):
    backend.answers["GetImageFile"] = [
        images_pb2.ImageFileChunk(mime_type=media, sha256="cd" * 32, total_bytes=3, data=b"<b>")
    ]
    answer = await client.get(FILE)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize("path", ["..%2f..%2fetc%2fpasswd", "..", "%2e%2e", "a%00b"])
async def test_an_id_is_never_a_path(client, backend, path):
    backend.answers["GetImageFile"] = NotFound("image", path)
    answer = await client.get(f"/api/v1/writer/images/{path}/file")
    assert answer.status_code == 404


async def test_a_stream_without_a_beginning_is_an_internal_error(client, backend):
    backend.answers["GetImageFile"] = []
    assert (await client.get(FILE)).status_code == 500
