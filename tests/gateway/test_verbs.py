"""HEAD and OPTIONS: what HTTP promises of every address, whatever its contract says."""

import pytest
from support.sockets import exchange, parsed, serving
from writer.tasks.v1 import tasks_pb2

from gateway.contracts import load_contracts
from gateway.http.metrics import Metrics

TASKS = "/api/v1/writer/tasks"
UNLIKE = {"x-request-id", "x-trace-id", "x-throttle-remaining", "date"}


def test_every_read_of_a_contract_answers_to_head(stack):
    served = {"tasks", "identity"}
    for binding in load_contracts().bindings:
        if binding.verb == "GET" and binding.method.peer in served:
            assert "HEAD" in stack.app._app.routes.verbs(binding.template.replace("{id}", "x"))


@pytest.mark.parametrize(
    "path", [f"{TASKS}/x", TASKS, "/healthz", "/api/docs", "/api/openapi.json"]
)
async def test_head_is_get_without_a_body(client, backend, task, path):
    backend.answers.update(GetTask=task, ListTasks=tasks_pb2.ListTasksResponse(tasks=[task]))
    wanted, found = await client.get(path), await client.head(path)
    assert (found.status_code, found.content) == (200, b"")
    same = [{**answer.headers} for answer in (wanted, found)]
    for headers in same:
        for name in UNLIKE & headers.keys():
            del headers[name]
    assert same[0] == same[1]


async def test_head_asks_by_the_same_rights_and_conditions(client, backend, task):
    backend.answers["GetTask"] = task
    etag = (await client.get(f"{TASKS}/x")).headers["etag"]
    known = await client.head(f"{TASKS}/x", headers={"If-None-Match": etag})
    assert (known.status_code, known.headers["etag"]) == (304, etag)
    stranger = await client.head(f"{TASKS}/x", headers={"Authorization": ""})
    assert stranger.status_code == 401


async def test_a_head_on_the_wire_ends_where_its_headers_end(stack, task):
    stack.backend.answers["GetTask"] = task
    head = (
        b"HEAD /api/v1/writer/tasks/x HTTP/1.1\r\nHost: t\r\n"
        b"Authorization: Bearer owner\r\nConnection: close\r\n\r\n"
    )
    async with serving(stack.app) as port:
        status, headers, body = parsed(await exchange(port, head))
    assert (status, body) == (200, None)
    assert int(headers["content-length"]) > 100


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (TASKS, "GET, HEAD, OPTIONS, POST"),
        (f"{TASKS}/x/", "GET, HEAD, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_says_what_an_address_answers_to(client, backend, path, allowed):
    answer = await client.options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == allowed
    assert backend.heard == []


async def test_options_of_the_server_itself_names_all_verbs(stack):
    head = b"OPTIONS * HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
    async with serving(stack.app) as port:
        status, headers, _ = parsed(await exchange(port, head))
    assert (status, headers["allow"]) == (204, "delete, get, head, options, patch, post")


async def test_what_is_asked_of_a_known_address_is_counted_and_logged_under_it(make_stack, caplog):
    metrics = Metrics()
    caplog.set_level("INFO", logger="gateway.requests")
    page = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    async with make_stack("tasks", metrics=metrics) as stack:
        for verb, headers in (("OPTIONS", {}), ("OPTIONS", page), ("PUT", {})):
            await stack.client.request(verb, f"{TASKS}/x/", headers=headers)
        await stack.client.options("/api/v1/nothing")
    template = f"{TASKS}/{{id}}"
    assert [line.route for line in caplog.records if line.name == "gateway.requests"] == [
        *[template] * 3,
        "-",
    ]
    assert f'route="{template}",status="204",verb="OPTIONS"' in metrics.text().decode()
    assert f'route="{template}",status="405",verb="PUT"' in metrics.text().decode()


async def test_options_of_nothing_is_nothing(client):
    assert (await client.options("/api/v1/nothing")).status_code == 404
