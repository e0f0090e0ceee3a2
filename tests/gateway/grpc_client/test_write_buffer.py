"""What is said in one turn of the event loop leaves at once, in order, and not behind an end."""

import asyncio

import pytest
from support.transports import RecordingTransport

from chassis import clock
from gateway.grpc_client import frames, headers
from gateway.grpc_client.calls import UnaryCall
from gateway.grpc_client.connection import Connection
from gateway.grpc_client.reader import FrameReader
from gateway.grpc_client.write_buffer import WriteBuffer


@pytest.fixture
def transport():
    return RecordingTransport()


@pytest.fixture
async def buffer(transport):
    return WriteBuffer(asyncio.get_running_loop(), transport)


async def turn():
    await asyncio.sleep(0)


async def test_all_of_one_turn_is_one_write(buffer, transport):
    buffer.write(b"head", b"body")
    buffer.write(b"next")
    assert transport.asked == []
    await turn()
    assert transport.asked == [b"headbodynext"]
    buffer.write(b"later")
    await turn()
    await turn()
    assert transport.asked == [b"headbodynext", b"later"]


async def test_all_calls_of_one_turn_are_one_write(transport):
    connection = Connection(lambda: None)
    connection.connection_made(transport)
    await turn()
    transport.asked.clear()
    for _ in range(3):
        call = UnaryCall(asyncio.get_running_loop(), clock.elapsed_s(), clock.elapsed_s() + 60)
        connection.start(call, headers.request_head("/a/b", "c", "d"), b"?")
    connection.reset(call)
    await turn()
    [sent] = transport.asked
    kinds = [kind for kind, *_ in FrameReader().feed(sent)]
    assert kinds == [frames.HEADERS, frames.DATA] * 3 + [frames.RST_STREAM]
    connection.connection_lost(None)


async def test_what_waits_goes_before_the_end(buffer, transport):
    buffer.write(b"last words")
    buffer.close()
    assert buffer.is_closing()
    await turn()
    assert transport.asked == [b"last words", "close"]


@pytest.mark.parametrize("ending", ["close", "abort"])
async def test_nothing_is_written_behind_the_end(buffer, transport, ending):
    getattr(buffer, ending)()
    buffer.write(b"too late")
    await turn()
    assert transport.asked == [ending]


async def test_what_waits_when_the_connection_breaks_is_dropped(buffer, transport):
    buffer.write(b"for nobody")
    buffer.abort()
    await turn()
    assert transport.asked == ["abort"]
