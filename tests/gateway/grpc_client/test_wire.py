"""Answers as HTTP/2 allows them and as it does not, by a server that follows a script."""

import asyncio

import grpc
import pytest
from hyperframe.frame import (
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from support import raw_grpc as wire
from support.raw_grpc import OK_HEAD, OK_TAIL

from chassis.client import METADATA_BYTES_MAX
from gateway.grpc_client import CallFailed
from gateway.grpc_client.reader import BLOCK_BYTES_MAX

Code = grpc.StatusCode
TEA = wire.message(b"tea")


def any_frame(kind, stream, payload, flags=0):
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def whole(stream):
    return wire.answer(stream, b"tea")


def padded(stream):
    return (
        wire.headers(stream, OK_HEAD, "PADDED", "PRIORITY", pad_length=7, depends_on=0)
        + wire.data(stream, TEA, "PADDED", pad_length=200)
        + wire.data(stream, b"", "PADDED", pad_length=0)
        + wire.headers(stream, OK_TAIL, "PADDED", "END_STREAM", pad_length=1)
    )


def continued(stream):
    many = (*OK_TAIL, *((f"x-{n}", "y" * n) for n in range(60)))
    head = wire.in_pieces(stream, OK_HEAD, 1)
    return head + wire.data(stream, TEA) + wire.in_pieces(stream, many, 17, "END_STREAM")


def between_strange_frames(stream):
    return (
        any_frame(0xFA, 0, b"what?", 0xFF)
        + wire.headers(stream, ((":status", "103"), ("link", "x")))
        + wire.headers(stream, OK_HEAD)
        + any_frame(0x0C, stream, b"h3=:443")
        + PriorityFrame(stream).serialize()
        + SettingsFrame(0, settings={0x77: 1, 1: 100, 6: 10}).serialize()
        + wire.data(stream, TEA[:2])
        + PingFrame(0, opaque_data=b"12345678").serialize()
        + wire.data(stream, TEA[2:])
        + wire.trailers(stream)
        + RstStreamFrame(stream, 0).serialize()
        + WindowUpdateFrame(stream, 5).serialize()
    )


def huffman_and_table_that_holds_nothing(stream):
    # A size update, then literals to be indexed, which a table of size 0 forgets at once.
    status = b"\x20\x40\x0bgrpc-status\x010"
    last = HeadersFrame(stream, status, flags=["END_HEADERS", "END_STREAM"])
    return wire.headers(stream, OK_HEAD) + wire.data(stream, TEA) + last.serialize()


@pytest.mark.parametrize(
    "frames",
    [whole, padded, continued, between_strange_frames, huffman_and_table_that_holds_nothing],
)
@pytest.mark.parametrize("split", [0, 1])
async def test_an_answer_is_read_however_it_is_framed(answering, frames, split):
    assert await answering(frames, split=split) == b"tea"


FAILURES = {
    "trailers alone": (
        lambda s: wire.trailers(s, (*OK_HEAD, ("grpc-status", "5"), ("grpc-message", "n%C3%B6"))),
        Code.NOT_FOUND,
        "nö",
    ),
    "a message before a refusal": (
        lambda s: (
            wire.headers(s, OK_HEAD) + wire.data(s, TEA) + wire.trailers(s, (("grpc-status", "6"),))
        ),
        Code.ALREADY_EXISTS,
        "",
    ),
    "a status that nobody knows": (
        lambda s: wire.trailers(s, (*OK_HEAD, ("grpc-status", "77"))),
        Code.UNKNOWN,
        "",
    ),
    "a page of a proxy": (
        lambda s: (
            wire.headers(s, ((":status", "503"), ("content-type", "text/html")))
            + wire.data(s, b"<h1>Away</h1>", "END_STREAM")
        ),
        Code.UNAVAILABLE,
        "503",
    ),
    "a proxy without a page": (
        lambda s: wire.trailers(s, ((":status", "404"),)),
        Code.UNIMPLEMENTED,
        "404",
    ),
    "a page that is not gRPC": (
        lambda s: wire.headers(s, ((":status", "200"),)) + wire.data(s, b"<h1>", "END_STREAM"),
        Code.UNKNOWN,
        "no status",
    ),
    "no trailers": (
        lambda s: wire.headers(s, OK_HEAD) + wire.data(s, TEA, "END_STREAM"),
        Code.UNKNOWN,
        "no status",
    ),
    "trailers without status": (
        lambda s: (
            wire.headers(s, OK_HEAD) + wire.data(s, TEA) + wire.trailers(s, (("x-other", "1"),))
        ),
        Code.UNKNOWN,
        "no status",
    ),
    "a good status before the end": (
        lambda s: wire.headers(s, (*OK_HEAD, *OK_TAIL)) + wire.data(s, TEA, "END_STREAM"),
        Code.UNKNOWN,
        "no status",
    ),
    "no message": (
        lambda s: wire.headers(s, OK_HEAD) + wire.trailers(s),
        Code.INTERNAL,
        "no message",
    ),
    "a message that was compressed": (
        lambda s: (
            wire.headers(s, OK_HEAD) + wire.data(s, wire.message(b"x", flag=1)) + wire.trailers(s)
        ),
        Code.INTERNAL,
        "compressed",
    ),
    "half a message": (
        lambda s: wire.headers(s, OK_HEAD) + wire.data(s, TEA[:-1]) + wire.trailers(s),
        Code.INTERNAL,
        "exactly one",
    ),
    "two messages": (
        lambda s: wire.headers(s, OK_HEAD) + wire.data(s, TEA * 2) + wire.trailers(s),
        Code.INTERNAL,
        "exactly one",
    ),
    "headers that are too large": (
        lambda s: wire.in_pieces(
            s, (*OK_TAIL, ("x", "~" * METADATA_BYTES_MAX)), 16_384, "END_STREAM"
        ),
        Code.RESOURCE_EXHAUSTED,
        "headers",
    ),
    "many small headers": (
        lambda s: wire.headers(s, (("a", ""),) * 3000, "END_STREAM"),
        Code.RESOURCE_EXHAUSTED,
        "headers",
    ),
}


@pytest.mark.parametrize("what", FAILURES)
async def test_an_answer_that_is_none_fails_its_call_and_no_other(raw, what):
    frames, code, words = FAILURES[what]

    async def script(peer):
        await peer.greet()
        first, _ = await peer.call()
        second, _ = await peer.call()
        peer.send(frames(first), wire.answer(second, b"other"))
        await peer.next(GoAwayFrame)

    method = await raw(script)
    failed, other = await asyncio.gather(
        method(b"1", (), 5.0), method(b"2", (), 5.0), return_exceptions=True
    )
    assert failed.code() is code
    assert words in failed.details()
    assert other == b"other"


@pytest.mark.parametrize("sent", ["CgR0ZWE", "CgR0ZWE="])
async def test_details_may_come_with_and_without_padding(answering, sent):
    fields = (*OK_HEAD, ("grpc-status", "5"), ("grpc-status-details-bin", sent))
    with pytest.raises(CallFailed) as failed:
        await answering(lambda stream: wire.trailers(stream, fields))
    trailers = dict(failed.value.trailing_metadata())
    assert trailers == {"grpc-status-details-bin": b"\n\x04tea"}


RESETS = {
    0: Code.INTERNAL,
    1: Code.INTERNAL,
    2: Code.INTERNAL,
    3: Code.INTERNAL,
    4: Code.INTERNAL,
    5: Code.INTERNAL,
    6: Code.INTERNAL,
    7: Code.UNAVAILABLE,
    8: Code.CANCELLED,
    9: Code.INTERNAL,
    10: Code.INTERNAL,
    11: Code.RESOURCE_EXHAUSTED,
    12: Code.PERMISSION_DENIED,
    13: Code.INTERNAL,
    99: Code.INTERNAL,
}


async def test_each_reset_has_the_status_that_grpc_gives_it(raw):
    async def script(peer):
        await peer.greet()
        while (head := await peer.next(HeadersFrame)) is not None:
            code = int(dict(peer._decoder.decode(head.data))["x-code"])
            peer.send(RstStreamFrame(head.stream_id, code).serialize())

    method = await raw(script)
    for number, code in RESETS.items():
        with pytest.raises(CallFailed) as failed:
            await method(b"?", (("x-code", str(number)),), 5.0)
        assert failed.value.code() is code
        assert failed.value.is_unseen is (number == 7)


async def test_a_cancelling_reset_after_the_deadline_is_the_deadline(raw, monkeypatch):
    def never(_connection, _call):
        """As a timer that comes too late."""

    monkeypatch.setattr("gateway.grpc_client.connection.Connection.expire", never)

    async def script(peer):
        await peer.greet()
        stream, _ = await peer.call()
        await asyncio.sleep(0.03)
        peer.send(RstStreamFrame(stream, 8).serialize())
        await peer.next(GoAwayFrame)

    method = await raw(script)
    with pytest.raises(CallFailed) as failed:
        await method(b"?", (), 0.02)
    assert failed.value.code() is Code.DEADLINE_EXCEEDED


BREACHES = {
    "a push": (lambda s: PushPromiseFrame(s, 2, wire.block(OK_HEAD)).serialize(), 1),
    "an entry of a table of size 0": (lambda s: any_frame(1, s, b"\xbe", 5), 9),
    "a larger table": (lambda s: any_frame(1, s, b"\x3f\x81\x02\x88", 5), 9),
    "a block that ends too early": (lambda s: any_frame(1, s, b"\x00\x0bgrpc", 5), 9),
    "a frame that is too long": (lambda s: any_frame(0, s, b"x" * 16_385), 6),
    "headers without end": (
        lambda s: (
            HeadersFrame(s, b"~").serialize()
            + any_frame(9, s, b"x" * 16_384) * (BLOCK_BYTES_MAX // 16_384)
        ),
        11,
    ),
    "data inside of a header block": (
        lambda s: HeadersFrame(s, b"").serialize() + wire.data(s, TEA),
        1,
    ),
    "a continuation of another block": (
        lambda s: HeadersFrame(s, b"").serialize() + any_frame(9, s + 2, b"", 4),
        1,
    ),
    "a continuation of nothing": (lambda s: any_frame(9, s, b"", 4), 1),
    "more padding than data": (lambda s: any_frame(0, s, b"\x05tea!", 8), 1),
    "padding without a length": (lambda s: any_frame(0, s, b"", 8), 6),
    "an answer that nobody asked for": (lambda s: wire.trailers(s + 2), 1),
    "data of the whole connection": (lambda _: any_frame(0, 0, b"x"), 1),
    "a reset of what never was": (lambda s: any_frame(3, s + 2, bytes(4)), 1),
    "a reset of the wrong size": (lambda s: any_frame(3, s, bytes(5)), 6),
    "settings of a stream": (lambda s: any_frame(4, s, b""), 1),
    "settings of the wrong size": (lambda _: any_frame(4, 0, bytes(5)), 6),
    "an agreement with words": (lambda _: any_frame(4, 0, bytes(6), 1), 6),
    "a frame size that is too small": (
        lambda _: SettingsFrame(0, settings={5: 16_383}).serialize(),
        1,
    ),
    "a first window that is too large": (
        lambda _: SettingsFrame(0, settings={4: 2**31}).serialize(),
        3,
    ),
    "a window that overflows": (lambda _: any_frame(8, 0, b"\x7f\xff\xff\xff"), 3),
    "a window of a call that overflows": (lambda s: any_frame(8, s, b"\x7f\xff\xff\xff"), 3),
    "an empty update": (lambda s: any_frame(8, s, bytes(4)), 1),
    "a window of what never was": (lambda s: any_frame(8, s + 2, b"\x00\x00\x00\x01"), 1),
    "a ping of the wrong size": (lambda _: any_frame(6, 0, bytes(7)), 6),
    "a farewell without words": (lambda _: any_frame(7, 0, bytes(7)), 6),
}


@pytest.mark.parametrize("what", BREACHES)
async def test_what_http_forbids_ends_the_connection_and_fails_its_calls(raw, what):
    frames, code = BREACHES[what]
    heard = asyncio.get_running_loop().create_future()

    async def script(peer):
        await peer.greet()
        stream, _ = await peer.call()
        if not heard.done():
            peer.send(frames(stream))
            farewell = await peer.next(GoAwayFrame)
            heard.set_result(farewell.error_code)
            assert await peer.frame() is None
        else:
            peer.send(wire.answer(stream, b"again"))
            await peer.next(GoAwayFrame)

    method = await raw(script)
    with pytest.raises(CallFailed) as failed:
        await method(b"?", (), 5.0)
    assert failed.value.code() is Code.UNAVAILABLE
    assert not failed.value.is_unseen
    assert await heard == code
    assert await method(b"?", (), 5.0) == b"again"
    assert method.server.peers == 2


async def test_a_ping_is_answered_with_its_own_words(raw):
    heard = asyncio.get_running_loop().create_future()

    async def script(peer):
        await peer.greet()
        stream, _ = await peer.call()
        peer.send(PingFrame(0, opaque_data=b"12345678").serialize())
        while not isinstance(found := await peer.frame(), PingFrame):
            pass
        heard.set_result(found)
        peer.send(whole(stream))
        await peer.next(GoAwayFrame)

    method = await raw(script)
    assert await method(b"?", (), 5.0) == b"tea"
    pong = heard.result()
    assert (pong.opaque_data, set(pong.flags)) == (b"12345678", {"ACK"})


async def test_an_answer_cut_anywhere_fails_its_call_and_the_next_one_is_answered(raw):
    length = len(whole(1))
    cut = iter(range(length))

    async def script(peer):
        await peer.greet()
        stream, _ = await peer.call()
        at = next(cut, None)
        peer.send(whole(stream)[:at])
        if at is None:
            await peer.next(GoAwayFrame)

    method = await raw(script)
    for _ in range(length):
        with pytest.raises(CallFailed) as failed:
            await method(b"?", (), 5.0)
        assert failed.value.code() is Code.UNAVAILABLE
        assert not failed.value.is_unseen
    assert await method(b"?", (), 5.0) == b"tea"


async def test_a_read_is_repeated_when_the_connection_breaks(raw):
    broken = iter(range(2))

    async def script(peer):
        await peer.greet()
        stream, _ = await peer.call()
        if next(broken, None) is None:
            peer.send(whole(stream))
            await peer.next(GoAwayFrame)

    method = await raw(script, is_read=True)
    assert await method(b"?", (), 5.0) == b"tea"
    assert method.server.peers == 3


async def test_what_does_not_speak_http2_cannot_be_reached(raw):
    async def script(peer):
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    method = await raw(script)
    with pytest.raises(CallFailed) as failed:
        await method(b"?", (), 5.0)
    assert failed.value.code() is Code.UNAVAILABLE
    assert failed.value.is_unseen
