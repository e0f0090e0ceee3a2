"""Reading the stream by sequence, on a real nats-server."""

import asyncio
import contextlib
from datetime import timedelta

import pytest

from chassis import clock, feed
from chassis.bus import STREAM, Publication

SUBJECTS = ("writer.*.*.run.*",)


async def store(bus, *numbers, subject="writer.acme.site.run.ended"):
    batch = [
        Publication(subject, str(number).encode(), {"Nats-Msg-Id": f"{subject}-{number}"})
        for number in numbers
    ]
    # A connection may be lost without being missed yet; the stream drops what it has already.
    async with asyncio.timeout(10):
        while not all(await bus.publish(batch)):
            await asyncio.sleep(0.05)


def payloads(entries):
    return [int(entry.payload) for entry in entries]


async def follow(bus, after, seen):
    """Reads for ever, and anew after its last sequence whenever a reading ends."""
    while True:
        with contextlib.suppress(*feed.FEED_ERRORS):
            async with feed.reading(bus, SUBJECTS, after=after) as reading:
                async for entries in reading.follow():
                    seen += entries
                    after = entries[-1].sequence
        await asyncio.sleep(0.05)


@pytest.fixture
async def following(bus):
    tasks = []

    def start(after=0):
        seen = []
        tasks.append(asyncio.create_task(follow(bus, after, seen)))
        return seen

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_stored_is_read_in_pages_from_the_sequence_that_was_named(bus):
    total = feed.PAGE_MAX + 44
    await store(bus, *range(total))
    async with feed.reading(bus, SUBJECTS, after=10) as reading:
        assert reading.pending == total - 10
        first, second, third = [await reading.page() for _ in range(3)]
    assert payloads([*first, *second]) == list(range(10, total))
    assert (len(first), third) == (feed.PAGE_MAX, [])
    assert first[0].sequence == 11
    assert first[0].headers["nats-msg-id"] == "writer.acme.site.run.ended-10"


async def test_only_the_named_subjects_are_read(bus):
    await store(bus, 1, subject="writer.acme.site.task.changed")
    await store(bus, 2)
    async with feed.reading(bus, ("writer.acme.*.run.ended", "writer.acme.*.run.begun")) as reading:
        assert payloads(await reading.page()) == [2]


async def test_a_reading_may_begin_at_a_time(bus):
    await store(bus, 1, 2)
    async with feed.reading(bus, SUBJECTS, since=clock.now() + timedelta(minutes=1)) as reading:
        assert reading.pending == 0
    async with feed.reading(bus, SUBJECTS, since=clock.now() - timedelta(minutes=1)) as reading:
        assert payloads(await reading.page()) == [1, 2]


async def test_what_comes_later_is_followed(bus, following, eventually):
    await store(bus, 1)
    seen = following()
    await eventually(lambda: payloads(seen) == [1])
    await store(bus, *range(2, 2 * feed.PAGE_MAX))
    await eventually(lambda: payloads(seen) == list(range(1, 2 * feed.PAGE_MAX)))


async def test_nothing_is_lost_or_repeated_when_nats_dies_while_it_is_followed(
    bus, nats_server, following, eventually
):
    seen = following()
    await store(bus, *range(50))
    await eventually(lambda: len(seen) >= 1)
    nats_server.stop()
    nats_server.start()
    await store(bus, *range(50, 100))
    await eventually(lambda: len(seen) >= 100)
    assert payloads(seen) == list(range(100))


async def test_a_reading_ends_when_its_consumer_is_deleted(bus):
    async with feed.reading(bus, SUBJECTS) as reading:
        client = await bus.ready()
        [consumer] = await client.jetstream().consumers_info(STREAM)
        following = asyncio.create_task(anext(reading.follow()))
        while not (await client.jetstream().consumers_info(STREAM))[0].num_waiting:
            await asyncio.sleep(0.01)
        await client.jetstream().delete_consumer(STREAM, consumer.name)
        with pytest.raises(ConnectionError):
            await following


async def test_the_extent_says_what_the_stream_still_has(bus):
    empty = await feed.extent(bus)
    assert (empty.first, empty.last) == (1, 0)
    await store(bus, *range(5))
    client = await bus.ready()
    await client.jetstream().purge_stream(STREAM, seq=4)
    found = await feed.extent(bus)
    assert (found.first, found.last, found.created) == (4, 5, empty.created)
    await client.jetstream().delete_stream(STREAM)
    await bus.ensure_stream()
    assert (await feed.extent(bus)).created > empty.created


async def test_a_reading_leaves_nothing_behind(bus):
    async with feed.reading(bus, SUBJECTS):
        pass
    client = await bus.ready()
    assert await client.jetstream().consumers_info(STREAM) == []
