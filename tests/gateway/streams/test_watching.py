"""One run over server-sent events: its state, every change, its end."""

import pytest
from writer.events.v1 import credits_pb2, generation_pb2, images_pb2
from writer.tasks.v1 import runs_pb2

from chassis.errors import NotFound

WATCH = "/api/v1/writer/runs/run-1/watch"
pytestmark = pytest.mark.asyncio(loop_scope="package")
STORY = [
    "generation.started",
    "content.created",
    "generation.succeeded",
    "content.status_changed",
    "run.ended",
]


def types(events):
    return [event.type for event in events]


@pytest.fixture
def run(gateway, a_run):
    gateway.stack.backend.answers["GetRun"] = a_run
    return a_run


def end(run):
    run.state = runs_pb2.Run.succeeded
    run.end_time.GetCurrentTime()


async def test_a_watch_begins_with_the_state_and_ends_with_the_run(gateway, teller, run, written):
    stream = await gateway.read(WATCH)
    state = await stream.next()
    assert (state.type, state.id) == ("run", "")
    assert state.data["state"] == "running"
    assert state.data["generations"][0]["id"] == "gen-1"
    await teller.tell(*written)
    *events, last = await stream.rest()
    assert types(events) == STORY
    assert (last.type, last.id) == ("end", "end")
    assert last.data == {"reason": "RUN_ENDED", "reconnect": False}


async def test_what_happened_before_the_watch_began_is_told_whatever_the_row_knows(
    gateway, teller, run, written
):
    # The row still says `running` with nothing written: tasks has not heard of it yet.
    await teller.tell(*written[:3])
    stream = await gateway.read(WATCH)
    assert types(await stream.take(4)) == ["run", *STORY[:3]]
    await teller.tell(*written[3:])
    assert types(await stream.rest()) == [*STORY[3:], "end"]


async def test_what_happens_between_the_state_and_the_stream_is_told(gateway, teller, run, written):
    async def slow(request, context):
        await teller.tell(*written)
        return run

    gateway.stack.backend.answers["GetRun"] = slow
    stream = await gateway.read(WATCH)
    assert types(await stream.rest()) == ["run", *STORY, "end"]


async def test_other_runs_of_the_account_are_not_told(gateway, teller, run, account, written):
    stream = await gateway.read(WATCH)
    tenant = {"account_id": account, "site_id": "s"}
    await teller.tell(
        generation_pb2.GenerationStarted(**tenant, run_id="run-2", generation_id="gen-2"),
        images_pb2.ImageGenerated(**tenant, content_id="content-2"),
        generation_pb2.RunEnded(**tenant, run_id="run-2"),
        *written,
    )
    assert types(await stream.rest()) == ["run", *STORY, "end"]


async def test_a_watch_goes_on_after_the_last_event(gateway, teller, run, written):
    first = await gateway.read(WATCH)
    await teller.tell(*written[:3])
    await first.take(4)
    first.close()
    await teller.tell(written[3])
    second = await gateway.read(WATCH, last_id=first.last_id)
    assert types(await second.take(2)) == ["run", "content.status_changed"]
    second.close()
    end(run)
    await teller.tell(written[4])
    third = await gateway.read(WATCH, last_id=second.last_id)
    *_, last = await third.rest()
    assert last.data["reason"] == "RUN_ENDED"
    # A browser comes back by itself, and gives up at this answer.
    assert (await gateway.read(WATCH, last_id=third.last_id)).status == 204


async def test_a_run_that_has_ended_is_told_and_that_is_all(gateway, run):
    end(run)
    stream = await gateway.read(WATCH)
    assert types(await stream.rest()) == ["run", "end"]


async def test_a_run_that_cannot_be_seen_is_not_found(gateway):
    gateway.stack.backend.answers["GetRun"] = NotFound("run", "run-1")
    stream = await gateway.read(WATCH)
    assert (stream.status, (await stream.body())["code"]) == (404, "NOT_FOUND")
    heard = gateway.stack.backend.last
    assert (heard.who.role, heard.request.id) == ("owner", "run-1")


async def test_a_watch_knows_no_filters(gateway, run):
    stream = await gateway.read(f"{WATCH}?types=run.ended")
    assert (stream.status, (await stream.body())["code"]) == (400, "INVALID_FIELDS")


async def test_a_viewer_is_told_of_a_run_without_its_credits(gateway, teller, run, account):
    viewer = await gateway.read(WATCH, authorization="Bearer viewer")
    owner = await gateway.read(WATCH)
    tenant = {"account_id": account, "site_id": "s", "run_id": "run-1"}
    await teller.tell(
        credits_pb2.CreditsCommitted(**tenant, credits=1), generation_pb2.RunEnded(**tenant)
    )
    assert types(await viewer.rest()) == ["run", "run.ended", "end"]
    assert types(await owner.rest()) == ["run", "credits.committed", "run.ended", "end"]
