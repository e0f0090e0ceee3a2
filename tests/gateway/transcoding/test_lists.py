"""Parameters of lists, and the links around a page."""

from urllib.parse import parse_qs, urlsplit

import pytest
from writer.tasks.v1 import tasks_pb2
from writer.types.v1 import types_pb2

from chassis.errors import InvalidFields, Violation

TASKS = "/api/v1/writer/tasks"


@pytest.fixture
def page(backend):
    """Scripts a page of 2 rows out of 7."""
    rows = [tasks_pb2.Task(id="a"), tasks_pb2.Task(id="b")]
    backend.answers["ListTasks"] = tasks_pb2.ListTasksResponse(
        tasks=rows, next_page_token="next-token", total_size=7
    )


def query_of(link):
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


async def test_parameters_become_typed_fields(client, backend, page):
    answer = await client.get(
        TASKS,
        params={
            "page": 3,
            "page_size": 2,
            "search": "green tea & more",
            "ordering": "-created_at",
            "status": "queued",
            "content_type": "product",
        },
    )
    assert answer.status_code == 200
    asked = backend.last.request
    assert (asked.page_size, asked.skip, asked.page_token) == (2, 4, "")
    assert (asked.search, asked.order_by) == ("green tea & more", "-created_at")
    assert asked.status == tasks_pb2.Task.queued
    assert asked.content_type == types_pb2.ContentType.product


async def test_page_numbers_without_a_size_count_in_twenties(client, backend, page):
    await client.get(TASKS, params={"page": 2})
    assert (backend.last.request.page_size, backend.last.request.skip) == (0, 20)


async def test_rows_and_links_of_a_page_in_the_middle(client, page):
    answer = await client.get(TASKS, params={"search": "a b&c", "page_size": 2, "page": 2})
    body = answer.json()
    assert body["count"] == 7
    assert [row["id"] for row in body["results"]] == ["a", "b"]
    assert body["next"].startswith("http://gateway.test/api/v1/writer/tasks?")
    assert query_of(body["next"]) == {"search": "a b&c", "page_size": "2", "page": "3"}
    assert query_of(body["previous"]) == {"search": "a b&c", "page_size": "2", "page": "1"}


async def test_the_first_page_has_no_previous_and_the_last_no_next(client, page):
    first = (await client.get(TASKS, params={"page_size": 2})).json()
    assert first["previous"] is None
    assert query_of(first["next"]) == {"page_size": "2", "page": "2"}
    last = (await client.get(TASKS, params={"page_size": 5, "page": 2})).json()
    assert last["next"] is None
    assert query_of(last["previous"])["page"] == "1"


async def test_who_walks_by_token_gets_tokens(client, backend, page):
    body = (await client.get(TASKS, params={"page_token": "now", "page_size": 2})).json()
    assert backend.last.request.page_token == "now"
    assert query_of(body["next"]) == {"page_size": "2", "page_token": "next-token"}
    assert body["previous"] is None


async def test_an_empty_token_begins_a_walk_by_token(client, backend, page):
    body = (await client.get(TASKS, params={"page_token": "", "page_size": 2})).json()
    assert (backend.last.request.page_token, backend.last.request.skip) == ("", 0)
    assert query_of(body["next"]) == {"page_size": "2", "page_token": "next-token"}
    assert body["previous"] is None


async def test_beyond_the_countable_pages_the_link_continues_by_token(client, backend):
    backend.answers["ListTasks"] = tasks_pb2.ListTasksResponse(
        tasks=[tasks_pb2.Task()] * 100, next_page_token="further", total_size=1_000_000
    )
    body = (await client.get(TASKS, params={"page": 101, "page_size": 100})).json()
    assert query_of(body["next"]) == {"page_size": "100", "page_token": "further"}
    assert query_of(body["previous"])["page"] == "100"


async def test_links_keep_the_trailing_slash_and_every_other_parameter(client, page):
    body = (await client.get(f"{TASKS}/", params={"status": "queued", "page_size": 2})).json()
    assert urlsplit(body["next"]).path == f"{TASKS}/"
    assert query_of(body["next"])["status"] == "queued"


async def test_links_show_the_public_address_when_it_is_set(make_stack):
    async with make_stack("tasks", public_url="https://api.example") as opened:
        opened.backend.answers["ListTasks"] = tasks_pb2.ListTasksResponse(
            tasks=[tasks_pb2.Task()], total_size=2
        )
        body = (await opened.client.get(TASKS, params={"page_size": 1})).json()
    assert body["next"].startswith(f"https://api.example{TASKS}?")


async def test_a_hostile_host_header_never_reaches_a_link(client, page):
    answer = await client.get(TASKS, params={"page_size": 2}, headers={"Host": 'evil"/><x'})
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=1.5", "page"),
        ("page=", "page"),
        ("page=99999999999", "page"),
        ("page=1000000000&page_size=100", "page"),
        ("page=2&page_token=x", "page"),
        ("page=2&page_token=", "page"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=many", "page_size"),
        ("page_size=9999999999999", "page_size"),
        ("page=1&page=2", "page"),
        ("status=done", "status"),
        ("status=", "status"),
        ("status=1", "status"),
        ("status=status_unspecified", "status"),
        ("skip=3", "skip"),
        ("order_by=title", "order_by"),
        ("request_id=1", "request_id"),
        ("colour=red", "colour"),
        ("search=%00", "search"),
    ],
)
async def test_a_bad_parameter_is_named(client, backend, query, field):
    answer = await client.get(f"{TASKS}?{query}")
    assert answer.status_code == 400
    body = answer.json()
    assert body["code"] == "INVALID_FIELDS"
    assert list(body["errors"]) == [field]
    assert backend.heard == []


@pytest.mark.parametrize("size", ["many", "1.5", "9999999999999"])
async def test_a_page_size_that_is_no_number_is_told_the_sizes_that_are(client, size):
    body = (await client.get(TASKS, params={"page_size": size})).json()
    assert body["errors"] == {"page_size": ["must be a whole number from 1 to 100"]}


async def test_text_that_no_database_keeps_is_refused_as_in_a_body(client):
    body = (await client.get(f"{TASKS}?search=%00")).json()
    assert body["errors"] == {"search": ["must not contain the character U+0000"]}


async def test_more_parameters_than_a_query_may_have_are_called_that(client):
    body = (await client.get(TASKS + "?" + "&".join(["search=a"] * 50))).json()
    assert body["errors"] == {"search": ["must be given once"]}
    body = (await client.get(TASKS + "?" + "&".join(["search=a"] * 51))).json()
    assert (body["code"], body["errors"]) == ("INVALID_FIELDS", {})
    assert body["error"] == "The query string has more than 50 parameters."


async def test_all_bad_parameters_are_named_at_once(client):
    body = (await client.get(f"{TASKS}?page=x&status=y&z=1")).json()
    assert sorted(body["errors"]) == ["page", "status", "z"]
    assert body["errors"]["status"] == ["must be one of queued, completed"]


@pytest.mark.parametrize("query", ["search=%ff", "a=1&" * 60, "search=%E4"])
async def test_a_query_that_cannot_be_read_is_refused(client, query):
    answer = await client.get(f"{TASKS}?{query}")
    assert answer.status_code == 400


async def test_faults_found_by_the_service_have_the_parameters_name(client, backend):
    answer = await client.get(TASKS, params={"page": 900, "page_size": 100, "search": "x" * 201})
    assert answer.status_code == 400
    assert sorted(answer.json()["errors"]) == ["page", "search"]
    assert answer.json()["error"] == "The request is not valid: see page, search."


@pytest.mark.parametrize("page", [502, 99_999, 9_999_999_999])
async def test_a_page_beyond_the_countable_rows_is_told_how_to_go_on(client, page):
    body = (await client.get(TASKS, params={"page": page})).json()
    assert body["errors"] == {"page": ["is too far: continue with page_token"]}
    assert body["error"] == "The request is not valid: see page."


async def test_a_refused_order_is_named_as_the_parameter(client, backend):
    backend.answers["ListTasks"] = InvalidFields(Violation("order_by", "must be one of title"))
    body = (await client.get(TASKS, params={"ordering": "xyz"})).json()
    assert body["errors"] == {"ordering": ["must be one of title"]}
    assert body["error"] == "The request is not valid: see ordering."
