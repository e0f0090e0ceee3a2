"""Windows, places and last words of a service, by a server that follows a script."""

import asyncio

import grpc
import pytest
from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from support import raw_grpc as wire
from support.sockets import wait_for

from gateway.grpc_client import CallFailed, connection, frames
from gateway.grpc_client.places import Places

Code = grpc.StatusCode
MAX_CONCURRENT, WINDOW, FRAME_SIZE = 3, 4, 5


def window_update(stream, increment):
    return WindowUpdateFrame(stream, increment).serialize()


def settings(values):
    return SettingsFrame(0, settings=values).serialize()


class Body:
    """The request of a call, read frame by frame."""

    def __init__(self, peer):
        self._peer = peer
        self.sent = b""
        self.is_whole = False

    async def part(self):
        """The size of the next part."""
        found = await self._peer.next(DataFrame)
        self.stream = found.stream_id
        self.sent += found.data
        self.is_whole = "END_STREAM" in found.flags
        return len(found.data)

    async def rest(self):
        """The sizes of all parts until the last."""
        sizes = []
        while not self.is_whole:
            sizes.append(await self.part())
        return sizes

    @property
    def message(self):
        return self.sent[5:]


async def sent_before_pong(peer):
    """What the client sends before it answers a ping."""
    peer.send(PingFrame(0).serialize())
    found = []
    while not isinstance(each := await peer.frame(), PingFrame):
        found.append(type(each))
    return found


async def echo_all(peer):
    """Answers calls until the client hangs up."""
    while (head := await peer.next(HeadersFrame)) is not None:
        body = await peer.next(DataFrame)
        peer.send(wire.answer(head.stream_id, body.data[5:]))


async def test_the_client_says_what_it_takes_before_anything_else(raw):
    async def script(peer):
        await peer.greet()
        await echo_all(peer)
        assert peer.greeting.settings == {1: 0, 2: 0, WINDOW: 1024 * 1024, 6: 64 * 1024}

    method = await raw(script)
    assert await method(b"tea", (), 5.0) == b"tea"


async def test_a_service_that_forbids_tables_is_told_that_none_is_used(raw):
    async def script(peer):
        await peer.greet({1: 0})
        peer._decoder.max_allowed_table_size = 0
        # Strict: raises unless the first block says so.
        for _ in range(2):
            stream, asked = await peer.call()
            peer.send(wire.answer(stream, asked))

    method = await raw(script)
    assert await method(b"one", (), 5.0) == b"one"
    assert await method(b"two", (), 5.0) == b"two"


async def test_headers_above_a_frame_are_continued(raw):
    async def script(peer):
        await peer.greet()
        head = await peer.next(HeadersFrame)
        assert "END_HEADERS" not in head.flags
        block = head.data
        while "END_HEADERS" not in (more := await peer.frame()).flags:
            block += more.data
        assert dict(peer._decoder.decode(block + more.data))["x-long"] == "l" * 40_000
        body = await peer.next(DataFrame)
        peer.send(wire.answer(body.stream_id, body.data[5:]))
        await peer.next(GoAwayFrame)

    method = await raw(script)
    assert await method(b"tea", (("x-long", "l" * 40_000),), 5.0) == b"tea"


async def test_a_large_request_keeps_to_windows_that_change_while_it_is_sent(raw):
    request = bytes(range(256)) * 2_000

    async def script(peer):
        await peer.greet({WINDOW: 1_000})
        body = Body(peer)
        assert await body.part() == 1_000
        # What was sent counts: the window of the call is now 900 below zero.
        peer.send(settings({WINDOW: 100}), window_update(body.stream, 900))
        assert await sent_before_pong(peer) == [SettingsFrame]
        peer.send(window_update(body.stream, 7))
        assert await body.part() == 7
        # More than the connection takes, in larger frames.
        peer.send(settings({FRAME_SIZE: 40_000, WINDOW: 1_000_000}))
        # Data by the new settings comes behind the word that they are known: a service that has
        # not read it counts by the old ones.
        assert "ACK" in (await peer.frame()).flags
        assert [await body.part() for _ in range(2)] == [40_000, 65_535 - 41_007]
        assert await sent_before_pong(peer) == []
        peer.send(window_update(0, 1_000_000))
        assert max(await body.rest()) == 40_000
        peer.send(wire.answer(body.stream, body.message))
        await peer.next(GoAwayFrame)

    method = await raw(script)
    assert await method(request, (), 5.0) == request


async def test_a_call_waits_for_a_window_and_not_longer_than_its_deadline(raw):
    async def script(peer):
        await peer.greet({WINDOW: 0})
        head = await peer.next(HeadersFrame)
        reset = await peer.next(RstStreamFrame)
        assert (reset.stream_id, reset.error_code) == (head.stream_id, 8)
        body = Body(peer)
        await peer.next(HeadersFrame)
        peer.send(settings({WINDOW: 100}))
        await body.part()
        peer.send(wire.answer(body.stream, body.message))
        await peer.next(GoAwayFrame)

    method = await raw(script)
    with pytest.raises(CallFailed) as failed:
        await method(b"tea", (), 0.05)
    assert failed.value.code() is Code.DEADLINE_EXCEEDED
    assert await method(b"tea", (), 5.0) == b"tea"


async def test_an_answer_before_the_end_of_its_request_ends_the_stream(raw):
    async def script(peer):
        await peer.greet({WINDOW: 10})
        head = await peer.next(HeadersFrame)
        peer.send(wire.trailers(head.stream_id, (*wire.OK_HEAD, ("grpc-status", "8"))))
        reset = await peer.next(RstStreamFrame)
        assert reset.stream_id == head.stream_id
        await peer.next(GoAwayFrame)

    method = await raw(script)
    with pytest.raises(CallFailed) as failed:
        await method(bytes(100), (), 5.0)
    assert failed.value.code() is Code.RESOURCE_EXHAUSTED


async def test_windows_are_opened_again_for_long_answers(raw, monkeypatch):
    size = 700_000
    monkeypatch.setattr(connection, "WINDOW_LEFT_MIN", frames.WINDOW_MAX - size // 2)

    async def script(peer):
        await peer.greet()
        stream, _ = await peer.call()
        peer.send(wire.headers(stream, wire.OK_HEAD))
        whole = wire.message(bytes(size - 5))
        parts = [whole[at : at + 16_000] for at in range(0, size, 16_000)]
        peer.send(*(wire.data(stream, part, "PADDED", pad_length=100) for part in parts))
        peer.send(wire.trailers(stream))
        opened = {0: 0, stream: 0}
        while (update := await peer.next(WindowUpdateFrame)) is not None:
            opened[update.stream_id] += update.window_increment
        # Padding and its length count like what is wanted.
        part = 16_000 + 101
        assert opened == {0: 43 * part + 12_101, stream: 33 * part}

    method = await raw(script)
    assert await method(b"?", (), 5.0) == bytes(size - 5)


async def test_a_service_that_sends_more_of_a_stream_than_it_may_is_cut_off(raw):
    async def script(peer):
        await peer.greet()
        stream, _ = await peer.call()
        peer.send(wire.headers(stream, wire.OK_HEAD))
        part = wire.message(bytes(16_000))
        peer.send(*(wire.data(stream, part) for _ in range(1024 * 1024 // len(part) + 1)))
        assert (await peer.next(RstStreamFrame)).stream_id == stream
        await peer.next(GoAwayFrame)

    method = await raw(script)
    async with method.stream(b"?", (), 5.0) as stream:
        await wait_for(lambda: stream._ended)
        messages = len(stream._messages)
        assert messages * 16_000 <= 1024 * 1024
        for _ in range(messages):
            await stream.read()
        with pytest.raises(CallFailed, match="faster"):
            await stream.read()


async def test_calls_above_the_bound_of_the_service_wait_in_order(raw):
    running, most, order = set(), [], []

    async def script(peer):
        await peer.greet({MAX_CONCURRENT: 2})
        for _ in range(10):
            while len(running) < min(2, 10 - len(order)):
                stream, asked = await peer.call()
                running.add(stream)
                order.append(int(asked))
            most.append(len(running))
            stream = min(running)
            running.remove(stream)
            peer.send(wire.answer(stream, b"%d" % order[(stream - 1) // 2]))
        await peer.next(GoAwayFrame)

    method = await raw(script)
    calls = [asyncio.create_task(method(b"%d" % n, (), 5.0)) for n in range(8)]
    await calls[0]
    # Those who come now find a place that was just left, and others who wait for it.
    calls += [asyncio.create_task(method(b"%d" % n, (), 5.0)) for n in (8, 9)]
    assert await asyncio.gather(*calls) == [b"%d" % n for n in range(10)]
    assert order == list(range(10))
    assert max(most) == 2


async def test_who_waits_for_a_place_gives_up_in_time_and_passes_it_on(raw):
    go = asyncio.Event()

    async def script(peer):
        await peer.greet({MAX_CONCURRENT: 1})
        stream, asked = await peer.call()
        await go.wait()
        peer.send(wire.answer(stream, asked))
        await echo_all(peer)

    method = await raw(script)
    first = asyncio.create_task(method(b"first", (), 5.0))
    await wait_for(lambda: method.server.peers)
    await asyncio.sleep(0)
    late = asyncio.create_task(method(b"late", (), 0.05))
    left = asyncio.create_task(method(b"left", (), 5.0))
    last = asyncio.create_task(method(b"last", (), 5.0))
    with pytest.raises(CallFailed) as failed:
        await late
    assert failed.value.code() is Code.DEADLINE_EXCEEDED
    assert failed.value.is_unseen
    # Cancelled in the very moment in which the place is given to it.
    first.add_done_callback(lambda _: left.cancel())
    go.set()
    assert await first == b"first"
    assert await last == b"last"
    assert left.cancelled()


async def test_a_place_that_its_waiter_can_no_longer_take_is_passed_on():
    calls = {1: "runs"}
    places = Places(calls)
    places.bound(1)
    first, second = (asyncio.create_task(places.one()) for _ in range(2))
    await asyncio.sleep(0)
    calls.clear()
    places.give()
    first.cancel()
    async with asyncio.timeout(5):
        await second
    assert first.cancelled()
    assert not places.are_taken


async def test_a_service_may_change_how_many_calls_it_takes(raw):
    async def script(peer):
        await peer.greet({MAX_CONCURRENT: 0})
        assert await sent_before_pong(peer) == []
        peer.send(settings({MAX_CONCURRENT: 3}))
        streams = [(await peer.call())[0] for _ in range(3)]
        peer.send(*(wire.answer(stream, b"tea") for stream in streams))
        await peer.next(GoAwayFrame)

    method = await raw(script)
    assert await asyncio.gather(*(method(b"", (), 5.0) for _ in range(3))) == [b"tea"] * 3


async def test_calls_that_a_farewell_leaves_out_are_repeated_elsewhere(raw):
    seen = []

    async def script(peer):
        await peer.greet()
        if seen:
            return await echo_all(peer)
        seen.extend([await peer.call() for _ in range(4)])
        peer.send(GoAwayFrame(0, last_stream_id=2**31 - 1).serialize())
        peer.send(GoAwayFrame(0, last_stream_id=seen[1][0]).serialize())
        peer.send(*(wire.answer(stream, b"here") for stream, _ in seen[:2]))
        # Nothing runs any more.
        assert await peer.next(DataFrame) is None
        return None

    method = await raw(script)
    answers = await asyncio.gather(*(method(b"there", (), 5.0) for _ in range(4)))
    assert answers == [b"here", b"here", b"there", b"there"]
    assert method.server.peers == 2


async def test_a_call_with_many_answers_is_repeated_until_the_first_of_them(raw):
    async def script(peer):
        await peer.greet()
        stream, _ = await peer.call()
        peer.send(RstStreamFrame(stream, 7).serialize())
        stream, _ = await peer.call()
        peer.send(wire.headers(stream, wire.OK_HEAD), wire.data(stream, wire.message(b"tea")))
        peer.send(RstStreamFrame(stream, 7).serialize())
        await peer.next(GoAwayFrame)

    method = await raw(script)
    async with method.stream(b"?", (), 5.0) as stream:
        assert await stream.read() == b"tea"
        with pytest.raises(CallFailed) as failed:
            await stream.read()
    assert failed.value.code() is Code.UNAVAILABLE


async def test_a_refused_stream_is_repeated_even_if_it_writes(raw):
    async def script(peer):
        await peer.greet()
        stream, _ = await peer.call()
        peer.send(RstStreamFrame(stream, 7).serialize())
        await echo_all(peer)

    method = await raw(script)
    assert await method(b"tea", (), 5.0) == b"tea"
    assert method.server.peers == 1


async def test_what_is_refused_again_and_again_fails_in_the_end(raw):
    asked = []

    async def script(peer):
        await peer.greet()
        while (head := await peer.next(HeadersFrame)) is not None:
            asked.append(head.stream_id)
            peer.send(RstStreamFrame(head.stream_id, 7).serialize())

    method = await raw(script)
    with pytest.raises(CallFailed) as failed:
        await method(b"tea", (), 5.0)
    assert failed.value.code() is Code.UNAVAILABLE
    assert asked == [1, 3, 5]


async def test_a_connection_without_numbers_for_streams_is_followed_by_another(raw, monkeypatch):
    async def script(peer):
        await peer.greet()
        await echo_all(peer)

    monkeypatch.setattr(frames, "STREAM_MAX", 7)
    method = await raw(script)
    asked = [b"%d" % n for n in range(8)]
    assert [await method(each, (), 5.0) for each in asked[:2]] == asked[:2]
    assert await asyncio.gather(*(method(each, (), 5.0) for each in asked)) == asked
    assert method.server.peers == 3
