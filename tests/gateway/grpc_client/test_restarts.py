"""Services that go, come back, or stand still."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from support.sockets import wait_for

from chassis import clock
from gateway.grpc_client import CallFailed, channel, connection

Code = grpc.StatusCode
SERVICE = "test.Things"
TESTS = Path(__file__).resolve().parents[2]


async def test_the_next_call_finds_a_service_that_was_restarted(service, call):
    assert await call("Echo", b"before") == b"before"
    await service.stop()
    await service.start()
    assert await call("Echo", b"after") == b"after"


async def test_a_read_is_repeated_when_its_service_dies_and_a_write_is_not(service, call):
    read = asyncio.create_task(call("Wait", b"read", is_read=True))
    write = asyncio.create_task(call("Wait", b"write"))
    await wait_for(lambda: len(service.things.seen) == 2)
    await service.stop()
    service.things.gate.set()
    await service.start()
    with pytest.raises(CallFailed) as failed:
        await write
    assert failed.value.code() in {Code.UNAVAILABLE, Code.CANCELLED, Code.INTERNAL}
    assert not failed.value.is_unseen
    assert service.things.seen.count(b"write") == 1
    # What a dying server says of its calls is its own affair; only "unavailable" is repeated.
    ended = (await asyncio.gather(read, return_exceptions=True))[0]
    assert ended == b"read" or ended.code() is failed.value.code() is not Code.UNAVAILABLE


@pytest.mark.parametrize("engine", ["grpcio"], indirect=True)
async def test_a_service_that_says_farewell_ends_its_calls_and_gets_no_new_ones(service, call):
    running = asyncio.create_task(call("Wait", b"running"))
    await wait_for(lambda: service.things.seen)
    stopping = asyncio.create_task(service.stop(5.0))
    await wait_for(lambda: not call.channel.connections[0].is_usable)
    # Somebody else listens there already, while the old one still works.
    other = type(service)("grpcio", port=service.port)
    await started(other)
    assert await call("Echo", b"new") == b"new"
    assert other.things.seen == [b"new"]
    service.things.gate.set()
    assert await running == b"running"
    await stopping
    await other.stop()


async def test_a_graceful_stop_waits_for_calls_that_run(service, call):
    running = asyncio.create_task(call("Wait", b"running"))
    await wait_for(lambda: service.things.seen)
    stopping = asyncio.create_task(service.stop(5.0))
    await asyncio.sleep(0.01)
    service.things.gate.set()
    assert await running == b"running"
    await stopping


async def started(service):
    async with asyncio.timeout(5):
        while True:
            try:
                return await service.start()
            except RuntimeError:
                await asyncio.sleep(0.01)


async def test_closing_a_channel_ends_its_calls_also_those_on_connections_to_be_left(service, call):
    old = asyncio.create_task(call("Wait", b"old"))
    await wait_for(lambda: service.things.seen)
    call.channel.connections[0]._end_use()
    new = asyncio.create_task(call("Wait", b"new"))
    await wait_for(lambda: len(service.things.seen) == 2)
    await call.channel.close()
    for each in await asyncio.gather(old, new, return_exceptions=True):
        assert each.code() is Code.UNAVAILABLE
    with pytest.raises(CallFailed):
        await call("Echo", b"")


async def test_closing_a_channel_that_is_being_connected_fails_who_waits(open_channel):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to_silent = open_channel(f"127.0.0.1:{silent.getsockname()[1]}")
        method = to_silent.method("/a/b", is_read=True)
        waiting = [asyncio.create_task(method(b"", (), 5.0)) for _ in range(3)]
        await wait_for(lambda: to_silent.connections)
        waiting.pop().cancel()
        await to_silent.close()
        for each in await asyncio.gather(*waiting, return_exceptions=True):
            assert each.code() is Code.UNAVAILABLE


async def test_a_service_that_is_away_is_asked_rarely_and_found_soon(service, call, monkeypatch):
    monkeypatch.setattr(channel, "AWAY_MAX_S", 0.3)
    await service.stop()
    with pytest.raises(CallFailed) as failed:
        await call("Echo", b"")
    assert failed.value.code() is Code.UNAVAILABLE
    call.channel._away_until_s = clock.elapsed_s() + channel.AWAY_MAX_S
    begun_s = clock.elapsed_s()
    with pytest.raises(CallFailed):
        await call("Echo", b"")
    assert clock.elapsed_s() - begun_s < 1.0
    await service.start()
    call.channel._away_s = channel.AWAY_MAX_S
    begun_s = clock.elapsed_s()
    while not await is_back(call):
        assert clock.elapsed_s() - begun_s < channel.AWAY_MAX_S + 2.0
    assert call.channel._away_s == channel.AWAY_FIRST_S


async def is_back(call):
    with contextlib.suppress(CallFailed):
        return await call("Echo", b"back") == b"back"
    return False


async def test_a_service_that_accepts_and_says_nothing_cannot_be_reached(open_channel, monkeypatch):
    monkeypatch.setattr(channel, "CONNECT_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        method = open_channel(f"127.0.0.1:{silent.getsockname()[1]}").method("/a/b", is_read=False)
        with pytest.raises(CallFailed) as failed:
            await method(b"", (), 5.0)
        assert failed.value.is_unseen
        # A call that has less time than an attempt does not wait for its end.
        monkeypatch.setattr(channel, "CONNECT_TIMEOUT_S", 3.0)
        method._channel._away_until_s = 0.0
        with pytest.raises(CallFailed) as failed:
            await method(b"", (), 0.05)
        assert failed.value.code() is Code.DEADLINE_EXCEEDED


@contextlib.contextmanager
def echoing():
    """A service in a process of its own, and its address."""
    program = [sys.executable, "-m", "support.echoing"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=TESTS) as process:
        yield process, f"127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


async def test_a_service_that_stands_still_is_left_and_found_again(open_channel, monkeypatch):
    monkeypatch.setattr(connection, "SILENCE_S", 0.1)
    with echoing() as (process, address):
        try:
            opened = open_channel(address)
            method = opened.method(f"/{SERVICE}/Echo", is_read=False)
            assert await method(b"1", (), 5.0) == b"1"
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(CallFailed) as failed:
                await method(b"2", (), 0.05)
            assert failed.value.code() is Code.DEADLINE_EXCEEDED
            # More than a socket takes in: the last words of this connection are never heard.
            with pytest.raises(CallFailed) as failed:
                await method(bytes(8_000_000), (), 5.0)
            assert failed.value.code() is Code.UNAVAILABLE
            assert not failed.value.is_unseen
            process.send_signal(signal.SIGCONT)
            assert await method(b"3", (), 5.0) == b"3"
            assert len(opened.connections) == 2
        finally:
            process.send_signal(signal.SIGCONT)
