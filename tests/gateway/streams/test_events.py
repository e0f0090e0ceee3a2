"""What a reader of an account's events is told, and how it looks."""

import pytest
from writer.events.v1 import credits_pb2, generation_pb2, images_pb2

from chassis.bus import Publication
from gateway.streams.hub import StreamBounds

EVENTS = "/api/v1/events"
pytestmark = pytest.mark.asyncio(loop_scope="package")


def numbers(events):
    return [event.data["data"]["attempt"] for event in events]


async def test_events_arrive_in_order_with_their_stored_sequence_as_id(gateway, teller):
    stream = await gateway.read()
    await teller.tell(*teller.facts(100))
    events = await stream.take(100)
    assert numbers(events) == list(range(100))
    sequences = [int(event.id) for event in events]
    assert sequences == sorted(set(sequences))


async def test_a_burst_does_not_drop_those_who_read(gateway, teller):
    readers = [await gateway.read() for _ in range(3)]
    await teller.tell(*teller.facts(1_000))
    for reader in readers:
        assert numbers(await reader.take(1_000)) == list(range(1_000))


async def test_an_event_is_canonical_json_in_an_envelope(gateway, teller, account):
    stream = await gateway.read()
    await teller.tell(
        generation_pb2.GenerationFailed(
            account_id=account, site_id="s", run_id="r", reason="PROVIDER_REFUSED",
            detail="the provider's own words", reservation_key="generation/g", request_id="q",
        )
    )  # fmt: skip
    event = await stream.next()
    assert event.type == event.data["type"] == "generation.failed"
    assert (len(event.data["id"]), event.data["request_id"]) == (36, "request")
    assert event.data["time"].endswith("Z")
    assert event.data["data"] == {
        "account_id": account, "site_id": "s", "sector_id": "", "run_id": "r",
        "generation_id": "", "task_id": "", "reason": "PROVIDER_REFUSED", "model": "",
        "prompt_tokens": 0, "completion_tokens": 0,
    }  # fmt: skip


async def test_the_answer_is_a_stream_that_nobody_keeps_or_collects(gateway):
    stream = await gateway.read()
    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.headers["x-request-id"]
    await stream.heard("connected")
    assert stream.retry_ms > 0
    await stream.heard("heartbeat")


async def test_what_stays_between_the_services_is_not_told(gateway, teller, account):
    stream = await gateway.read()
    await teller.tell(
        generation_pb2.GenerationRequested(
            account_id=account, site_id="s", brief={"prompt_override": "secret"}
        ),
        images_pb2.ImageRequested(account_id=account, site_id="s"),
        *teller.facts(1),
    )
    assert (await stream.next()).type == "generation.started"


async def test_two_accounts_see_no_trace_of_each_other(gateway, teller, account):
    mine = await gateway.read()
    theirs = await gateway.read(authorization="Bearer stranger")
    await teller.tell(*teller.facts(20, account=f"{account}-x"), *teller.facts(3))
    assert numbers(await mine.take(3)) == [0, 1, 2]
    assert {event.data["data"]["account_id"] for event in await theirs.take(20)} == {f"{account}-x"}
    returning = await gateway.read(last_id=0)
    assert (await returning.next()).data["data"]["account_id"] == account


async def test_a_forged_tenant_inside_an_event_is_told_to_nobody(gateway, teller, account):
    mine, theirs = await gateway.read(), await gateway.read(authorization="Bearer stranger")
    forged = generation_pb2.RunEnded(account_id=f"{account}-x", site_id="s", run_id="r")
    subject = f"writer.{account}.s.run.ended"
    await teller.bus.publish([Publication(subject, forged.SerializeToString(), {})])
    await teller.low()
    await teller.low(f"{account}-x")
    assert [(await each.next()).type for each in (mine, theirs)] == ["credits.low"] * 2


async def test_a_reader_sees_only_the_sites_that_were_granted(gateway, teller):
    viewer = await gateway.read(authorization="Bearer viewer")
    await teller.tell(*teller.facts(5, site="other"), *teller.facts(1))
    await teller.low()
    first, second = await viewer.take(2)
    assert first.data["data"]["site_id"] == "s"
    # What belongs to no site belongs to everybody in the account.
    assert second.type == "credits.low"


async def test_credits_are_told_to_those_who_may_see_what_was_spent(gateway, teller, account):
    viewer = await gateway.read(authorization="Bearer viewer")
    editor = await gateway.read(authorization="Bearer editor")
    await teller.tell(credits_pb2.CreditsReserved(account_id=account, site_id="s", credits=3))
    await teller.low()
    assert (await viewer.next()).type == "credits.low"
    reserved, low = await editor.take(2)
    assert (reserved.type, low.type) == ("credits.reserved", "credits.low")
    assert "reservation_key" not in reserved.data["data"]


async def test_a_stream_may_be_narrowed_to_a_site_and_to_types(gateway, teller, account):
    site = gateway.stack.site
    path = f"{EVENTS}?site_id={site}&types=run.ended&types=run.created"
    stream = await gateway.read(path)
    await teller.tell(
        generation_pb2.RunEnded(account_id=account, site_id="s", run_id="other site"),
        *teller.facts(1, site=site),
        generation_pb2.RunEnded(account_id=account, site_id=site, run_id="mine"),
    )
    assert (await stream.next()).data["data"]["run_id"] == "mine"


@pytest.mark.parametrize(
    ("path", "options", "status", "code"),
    [
        (EVENTS, {"authorization": "Bearer nobody"}, 401, "UNAUTHENTICATED"),
        (f"{EVENTS}?site_id=unknown", {}, 400, "INVALID_FIELDS"),
        (f"{EVENTS}?types=run.exploded", {}, 400, "INVALID_FIELDS"),
        (f"{EVENTS}?types=generation.requested", {}, 400, "INVALID_FIELDS"),
        (f"{EVENTS}?colour=red", {}, 400, "INVALID_FIELDS"),
        (f"{EVENTS}?last_event_id=1&last_event_id=2", {}, 400, "INVALID_FIELDS"),
        (EVENTS, {"last_id": "-1"}, 400, "INVALID_FIELDS"),
        (f"{EVENTS}?last_event_id=x", {"last_id": "1"}, 400, "INVALID_FIELDS"),
        (EVENTS, {"last_id": "1", "headers": ["Last-Event-ID: 2"]}, 400, "INVALID_FIELDS"),
        (EVENTS, {"last_id": "9" * 19}, 400, "INVALID_FIELDS"),
        (EVENTS, {"headers": ["Accept: application/json"]}, 406, "NOT_ACCEPTABLE"),
        (EVENTS, {"headers": ["Accept: text/html, text/event-stream;q=0.1"]}, 200, ""),
        (f"{EVENTS}?types=credits.reserved", {"authorization": "Bearer viewer"}, 403,
         "ROLE_FORBIDDEN"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_refused_before_the_stream_begins(
    gateway, path, options, status, code
):
    stream = await gateway.read(path, **options)
    assert stream.status == status
    if code:
        assert (await stream.body())["code"] == code


async def test_a_site_that_was_not_granted_is_refused(gateway):
    path = f"{EVENTS}?site_id={gateway.stack.other_site}"
    stream = await gateway.read(path, authorization="Bearer viewer")
    assert (stream.status, (await stream.body())["code"]) == (403, "SITE_FORBIDDEN")


async def test_only_get_is_answered(gateway):
    answer = await gateway.stack.client.post(EVENTS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, OPTIONS")


async def test_an_account_and_a_process_hold_a_bounded_number_of_streams(
    gateway_on, nats, account, eventually
):
    bounds = StreamBounds(streams_max=3, account_streams_max=2)
    async with gateway_on(nats.url, account, bounds=bounds) as gateway:
        held = [await gateway.read() for _ in range(2)]
        refused = await gateway.read()
        assert (refused.status, refused.headers["retry-after"]) == (429, "5")
        assert (await refused.body())["code"] == "RATE_LIMITED"
        held.append(await gateway.read(authorization="Bearer stranger"))
        full = await gateway.read(authorization="Bearer stranger")
        assert (full.status, full.headers["retry-after"]) == (503, "5")
        held[0].close()
        await eventually(lambda: gateway.hub.count < 3)
        assert (await gateway.read()).status == 200
