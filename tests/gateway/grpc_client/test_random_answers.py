"""Any order of frames and any cut of the bytes gives each call its own answer or its own error."""

import asyncio
import dataclasses

import grpc
from hyperframe.frame import RstStreamFrame, SettingsFrame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import raw_grpc as wire
from support.transports import RecordingTransport

from gateway.grpc_client import CallFailed, headers
from gateway.grpc_client.calls import StreamingCall, UnaryCall
from gateway.grpc_client.connection import Connection

LONG_S = 60.0


@dataclasses.dataclass
class Answer:
    """What a service says to a call, and what must come of it."""

    messages: list
    code: int | None
    padding: int
    part: int
    is_stream: bool

    def frames(self, stream):
        body = b"".join(map(wire.message, self.messages))
        parts = [body[at : at + self.part] for at in range(0, len(body), self.part)]
        flags = ["PADDED"] if self.padding else []
        yield wire.headers(stream, wire.OK_HEAD)
        for part in parts:
            yield wire.data(stream, part, *flags, pad_length=self.padding)
        if self.code is None:
            yield RstStreamFrame(stream, 7).serialize()
        else:
            fields = (("grpc-status", str(self.code)), ("grpc-message", f"of {stream}"))
            yield wire.in_pieces(stream, fields, 1 + self.padding, "END_STREAM")

    def expected(self, stream):
        if self.code is None:
            return grpc.StatusCode.UNAVAILABLE, True
        if self.code:
            return self.code, f"of {stream}"
        if not self.is_stream and len(self.messages) != 1:
            return (grpc.StatusCode.INTERNAL,)
        return None


answers = st.builds(
    Answer,
    messages=st.lists(st.binary(max_size=40), max_size=3),
    code=st.sampled_from([0, 0, 0, 3, 9, None]),
    padding=st.integers(0, 3),
    part=st.integers(1, 50),
    is_stream=st.booleans(),
)


def interleaved(draw, plan):
    """The frames of all answers, each answer's in their order."""
    queues = [list(each.frames(2 * n + 1)) for n, each in enumerate(plan)]
    found = []
    while queues := [queue for queue in queues if queue]:
        found.append(queues[draw(st.integers(0, len(queues) - 1))].pop(0))
    return b"".join(found)


@st.composite
def conversations(draw):
    plan = draw(st.lists(answers, min_size=1, max_size=5))
    whole = interleaved(draw, plan)
    cuts = sorted(draw(st.sets(st.integers(1, len(whole)), max_size=30)))
    return plan, [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def start(connection, is_stream):
    loop = asyncio.get_running_loop()
    call = StreamingCall(connection, 0, LONG_S) if is_stream else UnaryCall(loop, 0, LONG_S)
    connection.start(call, headers.request_head("/a/b", "c", "d"), b"?")
    return call


async def result(call):
    """All messages, and the error behind them."""
    found = []
    try:
        if isinstance(call, UnaryCall):
            found.append(await call.answer)
        else:
            while (message := await call.read()) is not None:
                found.append(message)
    except CallFailed as error:
        return found, error
    return found, None


def opened():
    connection = Connection(lambda: None)
    connection.connection_made(RecordingTransport())
    connection.data_received(SettingsFrame(0).serialize())
    return connection


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations())
def test_each_call_gets_its_own_answer_or_its_own_error(conversation):
    plan, parts = conversation

    async def talk():
        connection = opened()
        calls = [start(connection, each.is_stream) for each in plan]
        for part in parts:
            connection.data_received(part)
        assert not connection._calls
        async with asyncio.timeout(5):
            for call, answer in zip(calls, plan, strict=True):
                check(answer, call.stream, *await result(call))
        connection.connection_lost(None)

    asyncio.run(talk())


def check(answer, stream, found, error):
    expected = answer.expected(stream)
    if expected is None:
        assert error is None
        assert found == answer.messages
    else:
        assert found == (answer.messages if answer.is_stream else [])
        seen = (error.code(), error.is_unseen) if answer.code is None else of(error)
        assert seen[: len(expected)] == expected


def of(error):
    code = error.code()
    return (code, error.details()) if code is grpc.StatusCode.INTERNAL else known(code, error)


def known(code, error):
    return code.value[0], error.details()


@settings(max_examples=60, deadline=None)
@given(conversations(), st.data())
def test_whatever_bytes_come_every_call_ends_once_and_nothing_is_left(conversation, data):
    plan, parts = conversation
    whole = bytearray(b"".join(parts))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))

    async def talk():
        connection = opened()
        calls = [start(connection, each.is_stream) for each in plan]
        for at in range(0, len(whole), 50):
            if not connection._buffer.is_closing():
                connection.data_received(bytes(whole[at : at + 50]))
        connection.connection_lost(None)
        assert not connection._calls
        async with asyncio.timeout(5):
            for call in calls:
                await result(call)

    asyncio.run(talk())
