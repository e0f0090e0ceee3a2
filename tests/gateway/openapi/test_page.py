"""The reference is served by the gateway alone, small on the wire and never stale."""

import gzip
import hashlib
import json
import re
from importlib import resources

import pytest

from gateway.openapi import document as documents

DOCUMENT, PAGE = "/api/openapi.json", "/api/docs"
FILES = ("page.js", "swagger-ui-bundle.js", "swagger-ui.css")
STATIC = resources.files("gateway.openapi").joinpath("static")


async def test_the_document_needs_no_credentials(client):
    answer = await client.get(DOCUMENT)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["openapi"] == "3.1.0"


async def test_who_has_the_document_is_not_sent_it_again(client):
    etag = (await client.get(DOCUMENT)).headers["etag"]
    again = await client.get(DOCUMENT, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag
    other = await client.get(DOCUMENT, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_tags_in_several_lines_are_one_list(client, place):
    etag = (await client.get(DOCUMENT)).headers["etag"]
    tags = ['"one"', '"two"', '"three"']
    tags[place] = etag
    headers = [("If-None-Match", tag) for tag in tags]
    assert (await client.get(DOCUMENT, headers=headers)).status_code == 304


async def test_the_document_is_compressed_for_those_who_can_read_it(client):
    async with client.stream("GET", DOCUMENT, headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "accept-encoding"
    assert json.loads(gzip.decompress(raw))["openapi"] == "3.1.0"
    assert len(raw) < 100_000
    plain = await client.get(DOCUMENT, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*;q=0", False),
        ("br, xgzip", False),
        ("", False),
    ],
)
async def test_gzip_is_sent_to_those_who_take_it(client, header, taken):
    answer = await client.head(PAGE, headers={"Accept-Encoding": header})
    assert (answer.headers.get("content-encoding") == "gzip") == taken


async def test_each_encoding_has_a_tag_of_its_own(client):
    packed, plain = [
        (await client.get(PAGE, headers={"Accept-Encoding": coding})).headers["etag"]
        for coding in ("gzip", "identity")
    ]
    assert packed != plain
    for tag, status in ((plain, 304), (packed, 200)):
        headers = {"Accept-Encoding": "identity", "If-None-Match": tag}
        assert (await client.get(PAGE, headers=headers)).status_code == status


async def test_nothing_is_unpacked_for_a_request(client, monkeypatch):
    monkeypatch.setattr(gzip, "decompress", None)
    answer = await client.get(f"{PAGE}/page.js", headers={"Accept-Encoding": "identity"})
    assert answer.content == STATIC.joinpath("page.js").read_bytes()


async def test_the_document_is_made_once(client, monkeypatch):
    first = await client.get(DOCUMENT)
    monkeypatch.setattr(documents, "build", None)
    assert (await client.get(DOCUMENT)).content == first.content


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_page_may_load_from_the_gateway_alone(client, slash):
    answer = await client.get(PAGE + slash)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in policy
    assert "unsafe" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert loaded
    for address in loaded:
        assert address.startswith(("/api/docs/", "data:"))


@pytest.mark.parametrize("name", FILES)
async def test_the_files_of_the_page_are_served_with_their_type(client, name):
    answer = await client.get(f"{PAGE}/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(("text/javascript", "text/css"))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content == STATIC.joinpath(name).read_bytes()


@pytest.mark.parametrize("name", ["README.md", "..%2fpage.py", "LICENSE", "page.html", ""])
async def test_nothing_else_of_the_package_is_served(client, name):
    answer = await client.get(f"{PAGE}/{name}" if name else f"{PAGE}//")
    assert answer.status_code == 404


@pytest.mark.parametrize("path", [DOCUMENT, PAGE])
async def test_the_reference_is_only_read(client, path):
    answer = await client.post(path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_the_library_of_the_page_is_unchanged():
    told = dict(
        re.findall(r"\| `(.+?)` \| `([0-9a-f]{64})`", STATIC.joinpath("README.md").read_text())
    )
    assert told.keys() == {"swagger-ui-bundle.js", "swagger-ui.css"}
    for name, digest in told.items():
        assert hashlib.sha256(STATIC.joinpath(name).read_bytes()).hexdigest() == digest
