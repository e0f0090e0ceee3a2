"""Calls of real servers: grpcio's and the native one."""

import asyncio
import random

import grpc
import pytest
from google.rpc import status_pb2
from grpc_status import rpc_status
from support.sockets import wait_for

from gateway.grpc_client import CallFailed, connection

SERVICE = "test.Things"


def code_of(failed):
    return failed.value.code()


async def test_a_call_is_answered_and_carries_its_metadata_and_deadline(service, call):
    assert await call("Echo", b"tea", metadata=(("x-one", "1"), ("x-two", "zwei" * 100))) == b"tea"
    things = service.things
    assert things.metadata["x-one"] == "1"
    assert things.metadata["x-two"] == "zwei" * 100
    assert things.metadata["user-agent"].startswith("writer-gateway")
    assert 4 < things.time_left_s <= 5.01


async def test_an_empty_request_has_an_empty_answer(call):
    assert await call("Echo", b"") == b""


async def test_a_refusal_keeps_its_details_and_its_words(call):
    details = status_pb2.Status(code=9, message="Tëa is öut: 100 % ☕\nsorry")
    with pytest.raises(CallFailed) as failed:
        await call("Refuse", details.SerializeToString())
    assert code_of(failed) is grpc.StatusCode.FAILED_PRECONDITION
    assert failed.value.details() == details.message
    assert rpc_status.from_call(failed.value) == details


async def test_an_unknown_method_is_unimplemented(call):
    with pytest.raises(CallFailed) as failed:
        await call("Nothing", b"")
    assert code_of(failed) is grpc.StatusCode.UNIMPLEMENTED


async def test_details_that_are_too_large_fail_their_call_only(service, call):
    waiting = asyncio.create_task(call("Wait", b"other"))
    await wait_for(lambda: service.things.seen)
    with pytest.raises(CallFailed) as failed:
        await call("Refuse", random.randbytes(100_000))
    # Which code it is depends on the server: one keeps to what we say we take, one does not.
    assert code_of(failed) in {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
    }
    service.things.gate.set()
    assert await waiting == b"other"


async def test_a_call_without_answer_ends_in_time_and_the_service_hears_of_it(service, call):
    calls = [call("Wait", bytes([n]), timeout_s=0.05 + n / 1000) for n in range(20)]
    for ended in await asyncio.gather(*calls, return_exceptions=True):
        assert ended.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await wait_for(lambda: len(service.things.ended) == 20)
    assert await call("Echo", b"still here") == b"still here"
    assert len(call.channel.connections) == 1


@pytest.mark.slow
async def test_asking_whether_a_silent_service_lives_is_no_abuse(monkeypatch, service, call):
    monkeypatch.setattr(connection, "SILENCE_S", 0.4)
    waiting = asyncio.create_task(call("Wait", b"first"))
    for _ in range(4):
        with pytest.raises(CallFailed):
            await call("Wait", b"", timeout_s=0.5)
    service.things.gate.set()
    assert await waiting == b"first"
    assert await call("Echo", b"still here") == b"still here"
    assert len(call.channel.connections) == 1


async def test_a_call_that_nobody_waits_for_is_cancelled_down_to_the_service(service, call):
    waiting = asyncio.create_task(call("Wait", b"?"))
    await wait_for(lambda: service.things.seen)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wait_for(lambda: service.things.ended)


async def test_large_requests_and_answers_arrive_whole_beside_small_ones(call):
    large = [random.Random(n).randbytes(5_000_000) for n in range(2)]
    small = [str(n).encode() for n in range(50)]
    asked = [*large, *small]
    assert await asyncio.gather(*(call("Echo", request) for request in asked)) == asked


async def test_an_answer_may_have_16_mib_and_no_byte_more(call):
    limit = 16 * 1024 * 1024
    assert len(await call("Big", str(limit).encode())) == limit
    with pytest.raises(CallFailed) as failed:
        await call("Big", str(limit + 1).encode())
    assert code_of(failed) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await call("Echo", b"still here") == b"still here"


async def test_a_request_that_is_too_large_is_refused_before_it_has_been_sent(service, call):
    with pytest.raises(CallFailed) as failed:
        await call("Echo", bytes(17 * 1024 * 1024))
    assert code_of(failed) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await call("Echo", b"still here") == b"still here"


async def test_hundreds_of_calls_at_once_have_each_their_own_answer(call):
    requests = [str(n).encode() * (n % 700) for n in range(400)]
    assert await asyncio.gather(*(call("Echo", each) for each in requests)) == requests
    assert len(call.channel.connections) == 1


async def test_a_read_is_repeated_while_the_service_is_unavailable(service, call):
    assert await call("Away", b"?", is_read=True) == b"?"
    assert len(service.things.seen) == 3


async def test_a_write_is_not_repeated_when_the_service_has_refused_it(service, call):
    with pytest.raises(CallFailed) as failed:
        await call("Away", b"?")
    assert code_of(failed) is grpc.StatusCode.UNAVAILABLE
    assert len(service.things.seen) == 1


async def test_a_stream_is_read_to_its_end(service, call):
    method = call.channel.method(f"/{SERVICE}/Count", is_read=True)
    async with method.stream(b"40", (), 5.0) as stream:
        parts = [part async for part in all_of(stream)]
    assert parts == [number.to_bytes(4) * 16_384 for number in range(40)]


async def test_a_stream_that_fails_is_read_up_to_there(call):
    method = call.channel.method(f"/{SERVICE}/Count", is_read=True)
    async with method.stream(b"5", (), 5.0) as stream:
        for number in range(5):
            assert await stream.read() == number.to_bytes(4) * 16_384
        for _ in range(2):
            with pytest.raises(CallFailed) as failed:
                await stream.read()
    assert code_of(failed) is grpc.StatusCode.DATA_LOSS


async def test_a_slow_reader_holds_the_service_back(service, call):
    things = service.things
    method = call.channel.method(f"/{SERVICE}/Count", is_read=True)
    async with method.stream(b"400", (), 20.0) as stream:
        await stream.read()
        before = -1
        while things.sent != before:
            before = things.sent
            # Each is answered only when everything before it was taken in or held back.
            for _ in range(20):
                await call("Echo", b"")
        held = sum(map(len, stream._messages)) + len(stream._buffer)
        assert held <= 1024 * 1024
        assert things.sent < 200
        rest = [part async for part in all_of(stream)]
    assert len(rest) == 399


async def test_a_stream_that_is_left_is_cancelled(service, call):
    method = call.channel.method(f"/{SERVICE}/Count", is_read=True)
    async with method.stream(b"4000", (), 20.0) as stream:
        await stream.read()
    await wait_for(lambda: service.things.ended)
    assert service.things.sent < 4000
    assert await call("Echo", b"still here") == b"still here"


async def test_a_stream_ends_at_its_deadline(service, call):
    method = call.channel.method(f"/{SERVICE}/Wait", is_read=True)
    with pytest.raises(CallFailed) as failed:
        await method.stream(b"?", (), 0.05).__aenter__()
    assert code_of(failed) is grpc.StatusCode.DEADLINE_EXCEEDED
    await wait_for(lambda: service.things.ended)


async def all_of(stream):
    while (part := await stream.read()) is not None:
        yield part
