"""Readers that hop between two gateways while NATS is killed: each gets everything once."""

import asyncio
import random
import signal

import pytest
from support import sse

TOTAL = 3_000
BATCH = 50
READERS = 8
KILLS = 3
ASIDE = {"paused", "resumed"}
pytestmark = pytest.mark.asyncio(loop_scope="package")


async def pour(teller):
    facts = teller.facts(TOTAL)
    for start in range(0, TOTAL, BATCH):
        # Ids are made once for each event, so that what was sent twice is stored once.
        await teller.tell(*facts[start : start + BATCH])
        await asyncio.sleep(0.05)


async def hop(gateways, last_id, chance):
    """Reads until the last event, each time for a while and on any gateway."""
    numbers = []
    while not numbers or numbers[-1] != TOTAL - 1:
        stream = await chance.choice(gateways).read(last_id=last_id)
        assert stream.status == 200
        try:
            for _ in range(chance.randint(1, TOTAL // 4)):
                event = await stream.next(timeout_s=60)
                if event.type not in ASIDE:
                    assert event.type == "generation.started", event
                    numbers.append(event.data["data"]["attempt"])
                if numbers and numbers[-1] == TOTAL - 1:
                    break
        except sse.Closed:
            pass
        last_id = stream.last_id
        await stream.closed()
    return numbers


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_readers_that_hop_about_get_everything_once(gateway_on, own_nats, teller_on, account):
    async with (
        gateway_on(own_nats.url, account) as one,
        gateway_on(own_nats.url, account) as other,
        teller_on(own_nats.url) as teller,
    ):
        start = one.hub.position
        pouring = asyncio.create_task(pour(teller))
        hopping = [
            asyncio.create_task(hop([one, other], start, random.Random(seed)))
            for seed in range(READERS)
        ]
        for _ in range(KILLS):
            await asyncio.sleep(1)
            own_nats.stop(signal.SIGKILL)
            await asyncio.sleep(1)
            own_nats.start()
        await pouring
        for numbers in await asyncio.gather(*hopping):
            assert numbers == list(range(TOTAL))
