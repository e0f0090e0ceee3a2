"""Metrics: what Prometheus is told, with bounded labels, where nobody else reads it."""

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.sockets import serving, wait_for

from chassis.errors import NotFound
from gateway.admission.counters import MemoryCounter
from gateway.admission.throttles import OFF, Throttles
from gateway.http.metrics import Metrics, MetricsPage

TASK = "/api/v1/writer/tasks/x"
ROUTE = "/api/v1/writer/tasks/{id}"


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
async def stack(make_stack, metrics):
    limits = Throttles(MemoryCounter(), {**OFF, "writer_write": 1})
    async with make_stack("tasks", metrics=metrics, throttles=limits) as opened:
        yield opened


@pytest.fixture
def value(metrics):
    """The value of a sample; None when there is none."""

    def find(name, **labels):
        for family in text_string_to_metric_families(metrics.text().decode()):
            for sample in family.samples:
                if (
                    sample.name == f"writer_gateway_{name}"
                    and labels.items() <= sample.labels.items()
                ):
                    return sample.value
        return None

    return find


async def test_requests_are_counted_by_route_verb_and_status(client, backend, task, value):
    backend.answers["GetTask"] = task
    for _ in range(2):
        await client.get(TASK)
    backend.answers["GetTask"] = NotFound("task", "x")
    await client.get(f"{TASK}yz")
    assert value("requests_total", route=ROUTE, verb="GET", status="200") == 2
    assert value("requests_total", route=ROUTE, verb="GET", status="404") == 1
    assert value("request_seconds_count", route=ROUTE, verb="GET") == 3
    assert value("request_seconds_bucket", route=ROUTE, le="10.0") == 3
    assert value("requests_in_flight") == 0


async def test_what_strangers_make_up_becomes_no_label(client, metrics, value):
    for number in range(20):
        await client.request(f"VERB{number}", f"/made/up/{number}")
    assert value("requests_total", route="none", verb="other") == 20
    assert "made" not in metrics.text().decode()


async def test_running_requests_and_failing_services_are_seen(stack, value):
    release = asyncio.Event()

    async def slow(request, context):
        await release.wait()
        raise LookupError

    stack.backend.answers["GetTask"] = slow
    asked = asyncio.create_task(stack.client.get(TASK))
    await wait_for(lambda: stack.backend.heard)
    assert value("requests_in_flight") == 1
    release.set()
    assert (await asked).status_code == 500
    assert value("upstream_errors_total", service="tasks", code="INTERNAL") == 1
    await stack.servers["tasks"]._server.stop(None)
    assert (await stack.client.get(TASK)).status_code == 503
    assert value("upstream_errors_total", service="tasks", code="UNAVAILABLE") == 1


async def test_throttled_requests_are_counted_by_scope(client, value):
    for _ in range(3):
        await client.post("/api/v1/writer/tasks", json={})
    assert value("throttled_total", scope="writer_write") == 2


async def test_metrics_have_an_address_of_their_own(stack, metrics):
    assert (await stack.client.get("/metrics")).status_code == 404
    async with serving(MetricsPage(metrics)) as port, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}"
        answer = await client.get(f"{url}/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert b"writer_gateway_requests_in_flight" in answer.content
        assert (await client.get(f"{url}/healthz")).status_code == 404
        assert (await client.post(f"{url}/metrics")).status_code == 404
