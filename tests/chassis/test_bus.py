"""The connection: opening, losing, finding again."""

import asyncio
import contextlib
import json

import pytest

from chassis.bus import STREAM, Bus, Publication
from chassis.errors import Unavailable


def publications(count):
    return [
        Publication("writer.acme.-.run.ended", b"x", {"Nats-Msg-Id": str(n)}) for n in range(count)
    ]


async def test_opening_fails_within_its_bound_when_nobody_answers(nats_server):
    nats_server.stop()
    bus = Bus(nats_server.url, "tests")
    with pytest.raises(Unavailable):
        await bus.open(timeout_s=0.3)
    assert not bus.connected


async def test_the_stream_keeps_seven_days_in_files(bus):
    config = (await (await bus.ready()).jetstream().stream_info(STREAM)).config
    assert (config.subjects, config.retention) == (["writer.>"], "limits")
    assert (config.max_age, config.storage) == (7 * 24 * 3600, "file")


async def test_a_stream_that_an_operator_has_made_is_left_as_it_is(nats_server, bus):
    stream = (await bus.ready()).jetstream()
    await stream.update_stream(name=STREAM, subjects=["writer.>"], max_age=60)
    second = Bus(nats_server.url, "second")
    await second.open()
    assert (await stream.stream_info(STREAM)).config.max_age == 60
    await second.close()


async def test_repeated_publications_are_confirmed_and_stored_once(bus):
    assert await bus.publish(publications(3)) == [True] * 3
    assert await bus.publish(publications(3)) == [True] * 3
    state = (await (await bus.ready()).jetstream().stream_info(STREAM)).state
    assert state.messages == 3


async def test_one_event_that_is_too_large_does_not_hold_up_the_others(bus):
    first, second, third = publications(3)
    huge = Publication(second.subject, b"x" * 2_000_000, second.headers)
    assert await bus.publish([first, huge, third]) == [True, False, True]


async def test_nothing_is_confirmed_without_a_connection(bus, nats_server, eventually):
    nats_server.stop()
    await eventually(lambda: not bus.connected)
    assert await bus.publish(publications(2)) == [False] * 2


async def test_what_a_frozen_server_does_not_confirm_counts_as_not_published(bus, nats_server):
    nats_server.freeze()
    assert await bus.publish(publications(50)) == [False] * 50
    nats_server.thaw()
    assert await bus.publish(publications(50)) == [True] * 50
    state = (await (await bus.ready()).jetstream().stream_info(STREAM)).state
    assert state.messages == 50


async def test_listeners_hear_the_connection_go_and_come(bus, nats_server, eventually):
    heard = []
    bus.on_change(lambda: heard.append(bus.connected))
    nats_server.stop()
    await eventually(lambda: heard == [False])
    nats_server.start()
    await eventually(lambda: heard == [False, True])


async def test_a_client_that_ends_without_a_word_is_replaced(bus, nats_server, eventually):
    client = await bus.ready()

    async def fail():
        client._transport.close()  # as it would be by then
        raise ConnectionResetError

    # What the client does with data that it cannot send any more: it never calls back.
    client._transport.drain = fail
    client._pending.append(b"PING\r\n")
    client._pending_data_size += 6
    nats_server.stop()
    await eventually(lambda: not bus.connected)
    nats_server.start()
    await eventually(lambda: bus.connected)
    assert await bus.publish(publications(3)) == [True] * 3


async def test_a_closed_bus_refuses_instead_of_waiting(nats_server):
    bus = Bus(nats_server.url, "tests")
    await bus.open()
    await bus.close()
    with pytest.raises(ConnectionError):
        await bus.send("writer.acme.-.run.ended", b"x")


@pytest.mark.parametrize("turns", range(6))
async def test_a_bus_that_is_closed_while_it_is_refused_keeps_no_socket(caplog, turns):
    left = asyncio.Queue()

    async def refuse(reader, writer):
        info = {"server_id": "s", "version": "2.14.0", "max_payload": 1024, "auth_required": True}
        writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
        await reader.readuntil(b"PING\r\n")
        writer.write(b"-ERR 'Authorization Violation'\r\n")
        await reader.read()
        writer.close()
        left.put_nowait(writer)

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    caplog.set_level("INFO", "chassis.bus")
    async with server, asyncio.timeout(10):
        bus = Bus(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", "tests")
        opening = asyncio.create_task(bus.open())
        while "Authorization" not in caplog.text:
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        await bus.close()
        await left.get()
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
