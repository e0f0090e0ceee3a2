"""Why a stream ends: what is said to the reader, and what it leaves to the others."""

import asyncio
import dataclasses
import logging
from datetime import timedelta

import pytest
from support.sockets import unread

from chassis import clock
from chassis.errors import Forbidden, Unauthenticated
from gateway.streams import hub
from gateway.streams.session import Pace

EVENTS = "/api/v1/events"
UNREAD = b"GET /api/v1/events HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer editor\r\n\r\n"
pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "gateway.requests")
    return lambda: [record for record in caplog.records if record.name == "gateway.requests"]


def known(gateway):
    return gateway.stack.credentials.known


@pytest.mark.parametrize(
    "refusal",
    [
        Unauthenticated("This key was revoked.", reason="KEY_REVOKED"),
        Unauthenticated("This token has expired.", reason="TOKEN_EXPIRED"),
        Forbidden("ACCOUNT_INACTIVE", "This account is suspended."),
    ],
    ids=lambda refusal: refusal.reason,
)
async def test_a_credential_that_stops_working_ends_its_stream(gateway, teller, refusal):
    stream = await gateway.read(authorization="Bearer editor")
    other = await gateway.read()
    known(gateway)["Bearer editor"] = refusal
    end = await stream.next()
    assert (end.type, end.data) == ("end", {"reason": refusal.reason, "reconnect": False})
    assert await stream.rest() == []
    await teller.low()
    assert (await other.next()).type == "credits.low"


async def test_a_stream_is_asked_at_once_when_identity_takes_something_away(
    gateway_on, nats, account
):
    async with gateway_on(nats.url, account, pace=Pace(recheck_s=3600)) as gateway:
        stream = await gateway.read()
        await stream.heard("connected")
        del known(gateway)["Bearer owner"]
        gateway.hub.forget(account)
        assert (await stream.next()).data["reason"] == "UNAUTHENTICATED"


async def test_a_token_ends_its_stream_when_its_time_is_over(gateway_on, nats, account):
    async with gateway_on(nats.url, account, pace=Pace(recheck_s=3600)) as gateway:
        credentials = known(gateway)
        credentials["Bearer owner"] = dataclasses.replace(
            credentials["Bearer owner"], expire_time=clock.now() + timedelta(seconds=0.2)
        )
        stream = await gateway.read()
        await stream.heard("connected")
        credentials["Bearer owner"] = Unauthenticated("Over.", reason="TOKEN_EXPIRED")
        assert (await stream.next(timeout_s=5)).data["reason"] == "TOKEN_EXPIRED"


async def test_a_site_that_is_taken_away_is_told_of_no_more(gateway, teller, eventually):
    stream = await gateway.read(authorization="Bearer editor")
    await teller.tell(*teller.facts(1))
    await stream.next()
    credentials = known(gateway)
    credentials["Bearer editor"] = dataclasses.replace(
        credentials["Bearer editor"], allowed_sites=("elsewhere",)
    )
    asked = gateway.stack.credentials.asked
    await eventually(lambda: gateway.stack.credentials.asked > asked + 1)
    await teller.tell(*teller.facts(1))
    await teller.low()
    assert (await stream.next()).type == "credits.low"


async def test_a_slow_reader_is_dropped_while_the_others_go_on(
    gateway_on, nats, teller, account, lines, eventually, monkeypatch
):
    monkeypatch.setattr(hub, "QUEUE_MAX", 256)
    async with gateway_on(nats.url, account, pace=Pace(), send_buffer_bytes=4096) as gateway:
        async with unread(gateway.port, UNREAD):
            [slow] = await eventually(lambda: gateway.hub._readers.get(account))
            quick = await gateway.read()
            for _ in range(4):
                await teller.tell(*teller.facts(128, run_id="x" * 1_000))
                events = await quick.take(128)
                assert [event.data["data"]["attempt"] for event in events] == list(range(128))
            assert slow.reason == "SLOW_READER"
            assert slow.take() == []
        await eventually(lambda: gateway.hub.count == 1)
        [line] = [line for line in lines() if line.account_id == account]
        assert line.reason == "SLOW_READER"


async def test_a_reader_that_reads_nothing_at_all_is_cut_off(
    gateway_on, nats, teller, account, eventually
):
    narrow = {"send_buffer_bytes": 4096, "write_timeout_s": 0.2}
    opened = gateway_on(nats.url, account, pace=Pace(), **narrow)
    async with opened as gateway, unread(gateway.port, UNREAD):
        await eventually(lambda: gateway.hub.count == 1)
        await teller.tell(*teller.facts(200, run_id="x" * 1_000))
        await eventually(lambda: gateway.hub.count == 0)


async def test_a_reader_that_was_too_slow_is_told_so_when_it_reads_again(gateway, account):
    stream = await gateway.read()
    await stream.heard("connected")
    [reader] = gateway.hub._readers[account]
    reader.end("SLOW_READER")
    end = await stream.next()
    assert end.data == {"reason": "SLOW_READER", "reconnect": True}


async def test_streams_end_in_order_when_the_process_stops(gateway_on, nats, account, teller):
    async with gateway_on(nats.url, account) as gateway, gateway_on(nats.url, account) as other:
        streams = [await gateway.read() for _ in range(3)]
        await teller.tell(*teller.facts(2))
        for stream in streams:
            await stream.take(2)
        gateway.hub.close()
        gateway.http.should_exit = True
        for stream in streams:
            [end] = await stream.rest()
            assert end.data == {"reason": "SHUTTING_DOWN", "reconnect": True}
            assert stream.retry_ms >= 1_000
        async with asyncio.timeout(3):
            await asyncio.shield(gateway.serving)
        await teller.tell(*teller.facts(3))
        again = await other.read(last_id=streams[0].last_id)
        assert [event.data["data"]["attempt"] for event in await again.take(3)] == [0, 1, 2]


async def test_a_process_that_stops_takes_no_more_streams(gateway_on, nats, account):
    async with gateway_on(nats.url, account) as gateway:
        gateway.hub.close()
        refused = await gateway.read()
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")


async def test_a_stream_is_logged_once_when_it_has_ended(gateway, account, lines, eventually):
    stream = await gateway.read()
    await stream.heard("connected")
    assert lines() == []
    stream.close()
    [line] = await eventually(lines)
    assert (line.route, line.status, line.reason) == (EVENTS, 200, "CLIENT_GONE")
    assert (line.principal, line.account_id) == ("user:owner", account)


async def test_a_reader_that_hangs_up_is_forgotten(gateway, eventually):
    before = gateway.hub.count
    stream = await gateway.read()
    await stream.heard("connected")
    assert gateway.hub.count == before + 1
    stream.close()
    await eventually(lambda: gateway.hub.count == before)
