"""Bodies that cannot be used: what is said, and that no service hears of them."""

import json

import httpx
import pytest

from gateway.http.bounds import Bounds
from gateway.transcoding import bodies, faults

TASKS = "/api/v1/writer/tasks"
GENERATE = f"{TASKS}/auto_generate_content"
JSON = {"Content-Type": "application/json"}
WORD_COUNT = "must be a whole number from 100 to 10000"


@pytest.fixture
def post(stack):
    async def send(body, path=TASKS, **headers):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        return await stack.client.post(
            path, params=stack.scope, content=body, headers={**JSON, **headers}
        )

    yield send
    assert stack.backend.heard == []


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{"title": "a",}', "line 1"),
        ('{\n"title": nope}', "line 2"),
        ("{", "line 1"),
        ("[1, 2", "line 1"),
        ('{"title": NaN}', "line 1"),
        ('{"title": "\\ud800"}', "line 1"),
        (b'{"title": "\xff"}', ""),
        (b"\xef\xbb\xbf{}", ""),
        ('{"title": "a"} trailing', "line 1"),
        ('{"title": "\x01"}', "line 1"),
    ],
)
async def test_malformed_json_is_refused_with_its_place(post, body, place):
    answer = await post(body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_FIELDS"
    assert "not valid JSON" in answer.json()["error"]
    assert place in answer.json()["error"]


@pytest.mark.parametrize("body", ["[]", '"text"', "7", "null", "true", '[{"title":"a"}]'])
async def test_json_that_is_no_object_is_refused(post, body):
    answer = await post(body)
    assert answer.status_code == 400
    assert answer.json()["error"] == faults.NOT_AN_OBJECT


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"colour": 1}, {"colour": ["is not a known field"]}),
        ({"title": 7}, {"title": ["must be a string"]}),
        ({"title": ["a"]}, {"title": ["must be a string"]}),
        ({"word_count": "many"}, {"word_count": [WORD_COUNT]}),
        ({"word_count": 1.5}, {"word_count": [WORD_COUNT]}),
        ({"word_count": 2**40}, {"word_count": [WORD_COUNT]}),
        ({"word_count": True}, {"word_count": [WORD_COUNT]}),
        ({"wordCount": []}, {"word_count": [WORD_COUNT]}),
        ({"content_type": "poem"}, {"content_type": None}),
        ({"content_type": "POST"}, {"content_type": None}),
        ({"create_time": "yesterday"}, {"create_time": None}),
        ({"generation": []}, {"generation": ["must be an object"]}),
        ({"generation": {"run_id": 1}}, {"generation.run_id": ["must be a string"]}),
        ({"generation": {"x": 1}}, {"generation.x": ["is not a known field"]}),
        ({"title": 1, "x": 2, "status": "?"}, {"title": None, "x": None, "status": None}),
    ],
)
async def test_fields_at_fault_are_named(post, body, errors):
    answer = await post(body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_FIELDS"
    assert answer.json()["errors"].keys() == errors.keys()
    for field, words in errors.items():
        assert words is None or answer.json()["errors"][field] == words


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ids": "a"}, "ids"),
        ({"ids": ["a", 1]}, "ids[1]"),
        ({"ids": [None]}, "ids[0]"),
        ({"ids": {}}, "ids"),
        ({"ids": ["a"], "stop_after": "coffee"}, "stop_after"),
        ({"ids": ["a"], "site_id": 7}, "site_id"),
    ],
)
async def test_items_of_lists_are_named_by_their_place(post, body, field):
    answer = await post(body, GENERATE)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]


async def test_the_allowed_values_are_listed(post):
    answer = await post({"ids": ["a"], "stop_after": "coffee"}, GENERATE)
    assert answer.json()["errors"]["stop_after"] == [
        "must be one of content, image_prompts, images"
    ]


async def test_faults_are_not_listed_without_end(post):
    answer = await post({f"field_{number}": 1 for number in range(5_000)})
    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == faults.FAULTS_MAX


@pytest.mark.parametrize("where", ["title", "keywords", "description"])
async def test_text_that_no_database_keeps_is_refused(post, where):
    answer = await post({where: "a\x00b"})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [where]


async def test_an_escaped_backslash_is_not_mistaken_for_it(stack, task, brief):
    stack.backend.answers["CreateTask"] = task
    answer = await stack.client.post(
        TASKS, params=stack.scope, json={**brief, "title": r"the text \u0000"}
    )
    assert answer.status_code == 201
    assert stack.backend.last.request.task.title == r"the text \u0000"


@pytest.mark.parametrize("opener", ['{"a":', "["])
async def test_deep_nesting_is_refused_before_it_is_converted(post, opener):
    closer = "}" if opener == '{"a":' else "]"
    for depth in (bodies.DEPTH_MAX + 1, 500, 2_000, 200_000 // len(opener)):
        answer = await post(opener * depth + "1" + closer * depth)
        assert answer.status_code == 400
        assert answer.json()["error"] == "The body nests deeper than 32 levels."


def test_nesting_up_to_the_bound_is_let_through():
    depth = bodies.DEPTH_MAX
    bodies.check_depth(b"[" * depth + b"]" * depth)
    bodies.check_depth(b"[" + b",".join([b"[]"] * 1_000) + b"]")


@pytest.mark.parametrize(
    "sent",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": ""},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Encoding": "gzip"},
    ],
)
async def test_only_plain_json_is_taken(post, sent):
    answer = await post("{}", **sent)
    assert answer.status_code == 415
    assert answer.json()["code"] == "UNSUPPORTED_MEDIA_TYPE"


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_by_another_spelling_is_json(stack, task, brief, media):
    stack.backend.answers["CreateTask"] = task
    answer = await stack.client.post(
        TASKS, params=stack.scope, content=json.dumps(brief), headers={"Content-Type": media}
    )
    assert answer.status_code == 201


async def test_a_body_over_the_limit_is_refused_by_its_declared_length(post):
    answer = await post('{"title":"' + "a" * Bounds().body_bytes + '"}')
    assert answer.status_code == 413
    assert answer.json()["code"] == "PAYLOAD_TOO_LARGE"
    assert answer.json()["details"] == {"limit_bytes": Bounds().body_bytes}


async def test_a_body_over_the_limit_is_refused_while_it_is_read(stack):
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 10 * Bounds().body_bytes:
            sent += 65_536
            yield b" " * 65_536

    answer = await stack.client.post(TASKS, content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert sent <= Bounds().body_bytes + 65_536


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"0x10", b"9" * 400])
async def test_a_strange_length_is_not_believed(stack, length):
    request = httpx.Request(
        "POST",
        f"http://gateway.test{TASKS}",
        headers=[(b"authorization", b"Bearer owner"), (b"content-length", length)],
        content=b"",
    )
    request.headers["content-length"] = length.decode()
    assert (await stack.client.send(request)).status_code == 413


async def test_an_empty_body_is_an_empty_object(client):
    answer = await client.post("/api/v1/auth/login")
    assert answer.status_code == 400
    assert sorted(answer.json()["errors"]) == ["email", "password"]


async def test_credentials_are_looked_at_before_the_body(stack):
    answer = await stack.client.post(
        TASKS, content="{broken", headers={**JSON, "Authorization": "Bearer nobody"}
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/", "/api", "/api/v2/writer/tasks", "/api/v1/writer/task", "//"])
async def test_an_unknown_address_is_404_in_the_envelope(client, path):
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "NOT_FOUND"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH", "TRACE"])
async def test_an_unknown_verb_is_405_with_those_that_are_known(client, verb):
    answer = await client.request(verb, TASKS)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert answer.json()["code"] == "METHOD_NOT_ALLOWED"


async def test_an_id_never_swallows_a_verb(client):
    answer = await client.get(GENERATE)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "OPTIONS, POST"


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**63])
async def test_a_number_that_no_enum_can_have_is_a_fault_of_its_field(post, brief, number):
    answer = await post({**brief, "content_type": number, "site_id": "", "sector_id": None})
    assert answer.status_code == 400
    assert answer.json()["errors"] == {
        "content_type": ["must be one of post, page, product, taxonomy"]
    }
