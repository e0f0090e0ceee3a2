"""Nothing is lost or told twice when a reader comes back, whatever happened in between."""

import asyncio
import random
import signal

import pytest

from chassis.bus import STREAM
from gateway.streams import hub, replay

EVENTS = "/api/v1/events"
pytestmark = pytest.mark.asyncio(loop_scope="package")


def numbers(events):
    return [event.data["data"]["attempt"] for event in events]


def numbers_or_types(events):
    """Numbers of facts, names of what else was said."""
    return [event.data["data"]["attempt"] if event.id and "data" in event.data else event.type
            for event in events]  # fmt: skip


async def read_in_pieces(gateways, total, last_id=None):
    """Reads to the last event over connections that break again and again."""
    chance, events = random.Random(1), []
    while len(events) < total:
        gateway = gateways[len(events) % len(gateways)]
        stream = await gateway.read(last_id=last_id)
        for _ in range(chance.randint(1, total // 5)):
            if len(events) < total:
                events.append(await stream.next())
        last_id = stream.last_id
        stream.close()
    return events


async def test_a_reader_goes_on_after_the_last_event_that_it_has_seen(gateway, teller):
    first = await gateway.read()
    await teller.tell(*teller.facts(10))
    await first.take(4)
    first.close()
    second = await gateway.read(last_id=first.last_id)
    assert numbers(await second.take(6)) == [4, 5, 6, 7, 8, 9]


async def test_a_reader_that_saw_nothing_goes_on_from_where_it_connected(gateway, teller):
    first = await gateway.read()
    await first.heard("connected")
    first.close()
    await teller.tell(*teller.facts(2))
    second = await gateway.read(last_id=first.last_id)
    assert numbers(await second.take(2)) == [0, 1]


async def test_the_place_may_be_named_in_the_address_and_the_header_knows_better(gateway, teller):
    stream = await gateway.read()
    await teller.tell(*teller.facts(4))
    first, second, *_ = await stream.take(4)
    path = f"{EVENTS}?last_event_id={first.id}"
    assert numbers(await (await gateway.read(path)).take(1)) == [1]
    assert numbers(await (await gateway.read(path, last_id=second.id)).take(1)) == [2]


async def test_nothing_is_lost_or_repeated_while_events_pour_in(gateway_on, nats, teller, account):
    total = 1_000
    async with gateway_on(nats.url, account) as one, gateway_on(nats.url, account) as other:
        start = one.hub.position

        async def pour():
            facts = teller.facts(total)
            for begin in range(0, total, 100):
                await teller.tell(*facts[begin : begin + 100])

        pouring = asyncio.create_task(pour())
        events = await read_in_pieces([one, other], total, last_id=start)
        await pouring
        assert numbers(events) == list(range(total))
        assert [int(event.id) for event in events] == sorted({int(event.id) for event in events})


async def test_a_silent_stream_moves_its_reader_on(gateway, teller, eventually):
    stream = await gateway.read()
    await stream.heard("heartbeat")
    before = int(stream.last_id)
    await teller.low("somebody-else")
    await eventually(lambda: gateway.hub.position > before)
    stream.comments.clear()
    await stream.heard("heartbeat")
    await stream.heard("heartbeat")
    assert int(stream.last_id) > before


async def test_a_reader_who_comes_back_too_late_is_told_to_begin_anew(
    gateway_on, own_nats, teller_on, account
):
    async with gateway_on(own_nats.url, account) as gateway, teller_on(own_nats.url) as teller:
        stream = await gateway.read()
        await teller.tell(*teller.facts(10))
        events = await stream.take(10)
        client = await teller.bus.ready()
        await client.jetstream().purge_stream(STREAM, seq=int(events[5].id))
        # The next one that is still there is no loss.
        kept = await gateway.read(last_id=events[4].id)
        assert numbers(await kept.take(5)) == [5, 6, 7, 8, 9]
        late = await gateway.read(last_id=events[3].id)
        reset = await late.next()
        assert (reset.type, reset.data) == ("reset", {"reason": "TOO_OLD"})
        await teller.tell(*teller.facts(1))
        assert numbers([await late.next()]) == [0]


async def test_an_id_that_the_stream_never_gave_begins_anew(gateway, teller):
    stream = await gateway.read(last_id=10**17)
    reset = await stream.next()
    assert (reset.type, reset.data) == ("reset", {"reason": "UNKNOWN_ID"})
    await teller.tell(*teller.facts(1))
    assert int((await stream.next()).id) > int(reset.id)


async def test_who_has_missed_too_much_begins_anew(gateway, teller, monkeypatch):
    monkeypatch.setattr(replay, "MISSED_MAX", 5)
    stream = await gateway.read()
    await teller.tell(*teller.facts(10))
    events = await stream.take(10)
    assert (await (await gateway.read(last_id=events[3].id)).next()).data == {"reason": "TOO_MANY"}
    assert numbers(await (await gateway.read(last_id=events[4].id)).take(5)) == [5, 6, 7, 8, 9]


async def test_nothing_is_lost_when_nats_is_killed_and_comes_back(
    gateway_on, own_nats, teller_on, account, monkeypatch
):
    monkeypatch.setattr(hub, "AWAY_AFTER_S", 0.2)
    async with gateway_on(own_nats.url, account) as gateway, teller_on(own_nats.url) as teller:
        stream = await gateway.read()
        await teller.tell(*teller.facts(20))
        seen = await stream.take(20)
        own_nats.stop(signal.SIGKILL)
        assert (await stream.next()).type == "paused"
        returning = await gateway.read(last_id=seen[3].id)
        stream.comments.clear()
        await stream.heard("heartbeat")
        own_nats.start()
        await teller.tell(*teller.facts(5))
        assert {"resumed", *numbers_or_types(await stream.take(6))} == {"resumed", *range(5)}
        told = numbers_or_types(await returning.take(23))
        assert [each for each in told if each in range(100)] == [*range(4, 20), *range(5)]


async def test_all_begin_anew_when_the_stream_itself_is_lost(
    gateway_on, own_nats, teller_on, account, eventually
):
    async with gateway_on(own_nats.url, account) as gateway, teller_on(own_nats.url) as teller:
        stream = await gateway.read()
        await teller.tell(*teller.facts(10))
        await stream.take(10)
        client = await teller.bus.ready()
        await client.jetstream().delete_stream(STREAM)
        await teller.bus.ensure_stream()
        # Before anybody looks the new one has come as far as the old one had.
        await teller.tell(*teller.facts(12))
        reset = await stream.next()
        assert (reset.type, reset.data) == ("reset", {"reason": "EVENTS_LOST"})
        await teller.tell(*teller.facts(3, run_id="later"))
        later = await stream.take(3)
        while numbers(later[-3:]) != [0, 1, 2] or later[-1].data["data"]["run_id"] != "later":
            later.append(await stream.next())
        told = [event for event in later if event.data["data"]["run_id"] == "later"]
        assert numbers(told) == [0, 1, 2]
