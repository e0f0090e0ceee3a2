"""One line a request, with what it came to and without what is secret."""

import logging

import pytest

from chassis.errors import NotFound


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "gateway.requests")
    return lambda: [record for record in caplog.records if record.name == "gateway.requests"]


async def test_a_request_is_logged_under_its_route(client, backend, task, lines):
    backend.answers["GetTask"] = task
    await client.get("/api/v1/writer/tasks/x?site_id=private")
    (line,) = lines()
    assert (line.method, line.route, line.status) == ("GET", "/api/v1/writer/tasks/{id}", 400)
    assert (line.principal, line.reason) == ("user:1", "INVALID_FIELDS")
    assert line.duration_ms > 0
    assert line.client == "127.0.0.1"
    assert line.body_bytes > 0
    assert "Bearer" not in str(vars(line))
    assert "private" not in str(vars(line))


async def test_a_refusal_is_logged_with_its_reason(client, backend, lines):
    backend.answers["GetTask"] = NotFound("task", "x")
    await client.get("/api/v1/writer/tasks/x")
    await client.get("/nowhere")
    assert [(line.status, line.reason) for line in lines()] == [(404, "NOT_FOUND")] * 2
