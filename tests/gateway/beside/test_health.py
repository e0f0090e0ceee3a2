"""Whether the gateway lives, and which service it is waiting for."""

import asyncio

import pytest

from gateway.upstream import services
from gateway.upstream.services import Upstream


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
    told = {"success", "error", "code", "errors", "details", "request_id"}
    assert set(answer.json()) == told


async def test_strangers_who_ask_often_do_not_make_services_work(stack, monkeypatch):
    asked = []
    serves = Upstream._serves

    async def counted(self, name):
        asked.append(name)
        return await serves(self, name)

    monkeypatch.setattr(Upstream, "_serves", counted)
    monkeypatch.setattr(services, "HEALTH_KNOWN_S", 60)
    await asyncio.gather(*(stack.client.get("/readyz") for _ in range(20)))
    await stack.client.get("/readyz")
    assert sorted(asked) == ["identity", "tasks"]


async def test_readiness_is_asked_again_after_a_moment(stack, monkeypatch):
    monkeypatch.setattr(services, "HEALTH_KNOWN_S", 0)
    assert (await stack.client.get("/readyz")).status_code == 200
    await stack.servers["tasks"].stop()
    assert (await stack.client.get("/readyz")).status_code == 503


async def test_health_is_only_read(stack):
    answer = await stack.client.post("/healthz")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
