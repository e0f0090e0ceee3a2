"""Requests that make no sense: a clear refusal that names the field, and nothing changed."""

import asyncio
import json
import socket

import pytest
from e2e.people import API

from chassis import ids

JSON = {"Content-Type": "application/json"}
GENERATE = "writer/tasks/auto_generate_content"


@pytest.fixture
async def unchanged(account):
    """The account of the test; what it has must be the same afterwards."""
    await account.add_task()
    before = await account.state()
    yield account
    assert await account.state() == before


async def refused(account, path, body, **options):
    """The status, the code and the fields at fault of a POST that must not succeed."""
    if isinstance(body, (bytes, str)):
        options |= {"content": body, "headers": JSON | options.get("headers", {})}
    else:
        options["json"] = body
    answer = await account.call("POST", path, **options)
    document = answer.json()
    assert document["success"] is False
    assert document["error"]
    assert document["request_id"] == answer.headers["x-request-id"]
    assert all(document["errors"].values())
    return answer.status_code, document["code"], sorted(document["errors"])


async def test_ids_to_generate_must_be_one_to_ten_different_known_ones(unchanged):
    own = (await unchanged.list("writer/tasks"))[0]["id"]
    unknown = [ids.new_id() for _ in range(10)]
    eleven = [own, *unknown]
    cases = [
        ({"ids": []}, (400, "INVALID_FIELDS", ["ids"])),
        ({}, (400, "INVALID_FIELDS", ["ids"])),
        ({"ids": eleven}, (400, "TOO_MANY_ITEMS", ["ids"])),
        ({"ids": eleven * 500}, (400, "TOO_MANY_ITEMS", ["ids"])),
        ({"ids": [own, own]}, (400, "INVALID_FIELDS", ["ids"])),
        ({"ids": [""]}, (400, "INVALID_FIELDS", ["ids[0]"])),
        ({"ids": [own, "x" * 65]}, (400, "INVALID_FIELDS", ["ids[1]"])),
        ({"ids": own}, (400, "INVALID_FIELDS", ["ids"])),
        ({"ids": [own, None]}, (400, "INVALID_FIELDS", ["ids[1]"])),
        ({"ids": [own, 7]}, (400, "INVALID_FIELDS", ["ids[1]"])),
        ({"ids": None}, (400, "INVALID_FIELDS", ["ids"])),
        ({"ids": [own], "stop_after": "published"}, (400, "INVALID_FIELDS", ["stop_after"])),
        ({"ids": [own], "stop_after": ["images"]}, (400, "INVALID_FIELDS", ["stop_after"])),
        ({"ids": [own], "stop_after": 99}, (400, "INVALID_FIELDS", ["stop_after"])),
        ({"ids": [own], "wait_for": 1}, (400, "INVALID_FIELDS", ["wait_for"])),
        ({"ids": [own], "request_id": "x" * 65}, (400, "INVALID_FIELDS", ["request_id"])),
        ({"ids": unknown[:1]}, (404, "NOT_FOUND", [])),
        ({"ids": ["../../etc/passwd"]}, (404, "NOT_FOUND", [])),
        ({"ids": ["' OR 1=1 --"]}, (404, "NOT_FOUND", [])),
    ]
    for body, expected in cases:
        assert await refused(unchanged, GENERATE, body) == expected, str(body)[:200]


async def test_all_unknown_ids_are_named_and_no_known_one(unchanged):
    own = (await unchanged.list("writer/tasks"))[0]["id"]
    unknown = [ids.new_id() for _ in range(3)]
    answer = await unchanged.ask(unknown[0], own, *unknown[1:])
    assert answer.status_code == 404
    assert all(each in answer.json()["error"] for each in unknown)
    assert own not in answer.text


async def test_each_bad_field_of_a_task_is_named(unchanged):
    good = unchanged.brief()
    missing = {k: v for k, v in good.items() if k in unchanged.scope}
    cases = [
        (missing, ["cluster_id", "content_structure", "content_type", "title"]),
        ({**good, "title": ""}, ["title"]),
        ({**good, "title": " \t"}, ["title"]),
        ({**good, "title": "x" * 501}, ["title"]),
        ({**good, "title": 7}, ["title"]),
        ({**good, "title": "a\0b"}, ["title"]),
        ({**good, "keywords": "a\0b"}, ["keywords"]),
        ({**good, "description": "x" * 10_001}, ["description"]),
        ({**good, "prompt_override": "x" * 8_001}, ["prompt_override"]),
        ({**good, "keywords": ["a", "b"]}, ["keywords"]),
        ({**good, "content_type": "poem"}, ["content_type"]),
        ({**good, "content_type": "content_type_unspecified"}, ["content_type"]),
        ({**good, "content_structure": ""}, ["content_structure"]),
        ({**good, "word_count": 99}, ["word_count"]),
        ({**good, "word_count": 10_001}, ["word_count"]),
        ({**good, "word_count": 0}, ["word_count"]),
        ({**good, "word_count": -5}, ["word_count"]),
        ({**good, "word_count": 1e99}, ["word_count"]),
        ({**good, "word_count": 150.5}, ["word_count"]),
        ({**good, "word_count": "many"}, ["word_count"]),
        ({**good, "cluster_id": "the first"}, ["cluster_id"]),
        ({**good, "cluster_id": ids.new_id()}, ["cluster_id"]),
        ({**good, "taxonomy_term_id": ids.new_id()}, ["taxonomy_term_id"]),
        ({**good, "taxonomy_term_id": "?"}, ["taxonomy_term_id"]),
        ({**good, "colour": "red", "size": 1}, ["colour", "size"]),
        ({**good, "site_id": ids.new_id()}, ["site_id"]),
        ({**good, "sector_id": "x"}, ["sector_id"]),
        ({**good, "site_id": 5}, ["site_id"]),
        ({**good, "title": "", "word_count": 1, "content_type": "x"}, None),
    ]
    for body, fields in cases:
        status, code, found = await refused(unchanged, "writer/tasks", body)
        assert (status, code) == (400, "INVALID_FIELDS"), str(body)[:200]
        assert fields is None or found == fields, str(body)[:200]


async def test_bodies_that_cannot_be_read_are_refused(unchanged):
    good = json.dumps(unchanged.brief())
    deep = '{"title":' * 5_000 + "1" + "}" * 5_000
    cases = [
        (good[:-1], 400, "INVALID_FIELDS"),
        (good + "}", 400, "INVALID_FIELDS"),
        (good.encode("utf-16"), 400, "INVALID_FIELDS"),
        (b'{"title": "\xff"}', 400, "INVALID_FIELDS"),
        ("[]", 400, "INVALID_FIELDS"),
        ("null", 400, "INVALID_FIELDS"),
        ('"text"', 400, "INVALID_FIELDS"),
        (deep, 400, "INVALID_FIELDS"),
        ("[" * 100_000, 400, "INVALID_FIELDS"),
        ('{"title": "\\ud800"}', 400, "INVALID_FIELDS"),
        ('{"title": "' + "x" * 2_000_000 + '"}', 413, "PAYLOAD_TOO_LARGE"),
    ]
    for body, status, code in cases:
        found = await refused(unchanged, "writer/tasks", body)
        assert found[:2] == (status, code), body[:60]


async def test_other_media_than_json_are_refused(unchanged):
    good = json.dumps(unchanged.brief())
    for sent in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ):
        found = await refused(unchanged, "writer/tasks", good, headers=sent)
        assert found == (415, "UNSUPPORTED_MEDIA_TYPE", [])


async def test_a_body_that_grows_beyond_the_limit_is_refused(unchanged):
    async def growing():
        for _ in range(100):
            yield b" " * 65_536

    answer = await unchanged.call("POST", "writer/tasks", content=growing(), headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["code"] == "PAYLOAD_TOO_LARGE"


async def test_bad_parameters_of_lists_are_named(unchanged):
    cases = [
        ("writer/tasks", "page=0", ["page"]),
        ("writer/tasks", "page=two", ["page"]),
        ("writer/tasks", "page=999999999", ["page"]),
        ("writer/tasks", "page_size=0", ["page_size"]),
        ("writer/tasks", "page_size=101", ["page_size"]),
        ("writer/tasks", "page_size=-1", ["page_size"]),
        ("writer/tasks", "ordering=price", ["ordering"]),
        ("writer/tasks", "ordering=-", ["ordering"]),
        ("writer/tasks", "ordering=title,status", ["ordering"]),
        ("writer/tasks", "status=done", ["status"]),
        ("writer/tasks", "content_type=poem", ["content_type"]),
        ("writer/tasks", "colour=red", ["colour"]),
        ("writer/tasks", "search=" + "x" * 201, ["search"]),
        ("writer/tasks", "search=%00", ["search"]),
        ("writer/tasks", "page=1&page=2", ["page"]),
        ("writer/tasks", f"site_id={ids.new_id()}", ["site_id"]),
        ("writer/tasks", "sector_id=%27", ["sector_id"]),
        ("writer/content", "view=everything", ["view"]),
        ("writer/content", "source=elsewhere", ["source"]),
        ("writer/images", "image_type=poster", ["image_type"]),
        ("writer/images", "ordering=title", ["ordering"]),
        ("writer/runs", "state=done", ["state"]),
        ("billing/credits/transactions", "transaction_type=gift", ["transaction_type"]),
        ("billing/credits/usage", "operation_type=typing", ["operation_type"]),
        ("billing/credits/balance", "page=1", ["page"]),
        ("auth/sites", "search=x", ["search"]),
    ]
    for path, query, fields in cases:
        answer = await unchanged.call("GET", f"{path}?{query}")
        assert answer.status_code == 400, (path, query)
        assert (answer.json()["code"], sorted(answer.json()["errors"])) == (
            "INVALID_FIELDS", fields
        ), (path, query)  # fmt: skip


async def test_a_page_token_that_was_not_given_is_refused(unchanged):
    for token in ("x", "%%%", "W10", "bnVsbA", "WyIwIiwidiIsMSwieCJd", "x" * 2_000, "é"):
        answer = await unchanged.call("GET", "writer/tasks", params={"page_token": token})
        assert (answer.status_code, answer.json()["code"]) == (400, "PAGE_TOKEN_INVALID"), token


async def test_odd_ids_in_the_path_are_not_found(unchanged):
    for odd in ("x", "0", "-1", "%00", "%27", "a b", "%2e%2e", "x" * 64, "x" * 5_000, "é", "%ff"):
        for path in ("writer/tasks", "writer/content", "writer/images", "writer/runs"):
            answer = await unchanged.call("GET", f"{path}/{odd}")
            assert answer.status_code in {400, 404}, (path, odd)
            assert answer.json()["code"] in {"NOT_FOUND", "INVALID_FIELDS"}, (path, odd)


async def test_unknown_addresses_and_verbs_are_refused_in_the_envelope(unchanged):
    nowhere = await unchanged.call("GET", "writer/nothing")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "NOT_FOUND")
    for verb in ("PUT", "DELETE", "PATCH"):
        answer = await unchanged.call(verb, "writer/runs")
        assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_bad_registrations_name_their_fields(writer):
    cases = [
        ({}, ["email", "password"]),
        ({"email": "nobody", "password": "x" * 10}, ["email"]),
        ({"email": "a@example.com", "password": "short"}, ["password"]),
        ({"email": "a@example.com", "password": "x" * 201}, ["password"]),
        ({"email": "a@example.com", "password": "x" * 10, "role": "owner"}, ["role"]),
        ({"email": "a\0@example.com", "password": "x" * 10}, ["email"]),
    ]
    for body, fields in cases:
        answer = await writer.client.post(f"{API}/auth/register", json=body)
        assert answer.status_code == 400, body
        assert sorted(answer.json()["errors"]) == fields, body


async def test_bytes_that_are_no_http_get_an_answer_and_harm_nobody(unchanged, writer):
    host, _, port = writer.stack.addresses["gateway"].rpartition(":")

    def send(data):
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(data)
            return connection.recv(65_536)

    for data in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nA" * 5_000):
        try:
            said = await asyncio.to_thread(send, data + b"\r\n\r\n")
        except ConnectionError:
            continue
        assert said.startswith((b"HTTP/1.1 4", b"")), data[:20]
    assert (await writer.client.get("/healthz")).status_code == 200
