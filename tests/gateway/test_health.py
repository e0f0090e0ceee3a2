"""Whether the gateway lives, and which service it is waiting for."""

import pytest


@pytest.mark.parametrize("path", ["/healthz", "/healthz/"])
async def test_liveness_asks_nobody(stack, path):
    del stack.client.headers["Authorization"]
    for server in stack.servers.values():
        await server._server.stop(None)
    answer = await stack.client.get(path)
    assert answer.status_code == 200
    assert answer.json()["data"] == {"status": "alive"}


async def test_readiness_is_that_of_all_services(stack):
    answer = await stack.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["data"] == {"status": "ready"}


async def test_readiness_names_the_service_that_is_missing(stack):
    await stack.servers["tasks"].stop()
    answer = await stack.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["details"] == {"not_ready": ["tasks"]}
    assert "127.0.0.1" not in answer.text


async def test_health_is_only_read(stack):
    answer = await stack.client.post("/healthz")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
