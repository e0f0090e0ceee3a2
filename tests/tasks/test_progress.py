"""What events make of generations, tasks and runs; and who gets a turn."""

import pytest
from writer.events.v1 import content_pb2, credits_pb2, generation_pb2
from writer.tasks.v1 import runs_pb2, tasks_pb2

from chassis.ids import new_id
from services.tasks.domain import (
    Generation,
    GenerationState,
    Pictures,
    PictureState,
    RunState,
    run_state,
)

from .conftest import owner, told


@pytest.fixture
async def started(world):
    """A run of one task up to its pictures, and a way to tell what became of it."""
    task = await world.create()
    run = await world.generate(task.id, stop_after="images")
    [generation] = run.generations
    common = {
        "account_id": world.user.account_id,
        "site_id": world.user.site_id,
        "sector_id": world.user.sector_id,
        "run_id": run.id,
        "generation_id": generation.id,
    }

    def tell(event_type, **fields):
        if "task_id" in event_type.DESCRIPTOR.fields_by_name:
            fields["task_id"] = task.id
        return told(event_type, **common, **fields)

    return run, task, tell


async def test_a_run_ends_when_its_pictures_have_ended(world, started):
    run, task, tell = started
    content_id = new_id()
    await world.progress.started(tell(generation_pb2.GenerationStarted, attempt=1))
    assert (await world.run(run.id)).state == runs_pb2.Run.running
    await world.progress.succeeded(
        tell(generation_pb2.GenerationSucceeded, content_id=content_id, word_count=280)
    )
    middle = await world.run(run.id)
    assert middle.state == runs_pb2.Run.running
    assert middle.counts.succeeded == 1
    assert (await world.task(task.id)).status == tasks_pb2.Task.completed
    assert (await world.task(task.id)).content_id == content_id
    await world.progress.illustrated(
        tell(content_pb2.ContentIllustrated, total=3, generated=3, status="review")
    )
    done = await world.run(run.id)
    assert done.state == runs_pb2.Run.succeeded
    assert done.HasField("end_time")
    [ended] = await world.events(generation_pb2.RunEnded)
    assert ended.state == "succeeded"


async def test_every_order_and_repetition_ends_the_same(world, started):
    run, _, tell = started
    deliveries = [
        (
            world.progress.illustrated,
            tell(content_pb2.ContentIllustrated, total=3, generated=3),
        ),
        (
            world.progress.succeeded,
            tell(generation_pb2.GenerationSucceeded, content_id=new_id(), word_count=280),
        ),
        (world.progress.started, tell(generation_pb2.GenerationStarted, attempt=1)),
    ]
    for hear, delivery in deliveries * 3:
        await hear(delivery)
    assert (await world.run(run.id)).state == runs_pb2.Run.succeeded
    assert len(await world.events(generation_pb2.RunEnded)) == 1


async def test_a_failed_generation_leaves_the_task_queued_with_the_reason(world, started):
    run, task, tell = started
    await world.progress.failed(
        tell(generation_pb2.GenerationFailed, reason="PROVIDER_REFUSED", detail="no")
    )
    done = await world.run(run.id)
    assert done.state == runs_pb2.Run.failed
    assert done.generations[0].reason == "PROVIDER_REFUSED"
    assert done.generations[0].images.state == runs_pb2.PictureState.failed
    after = await world.task(task.id)
    assert after.status == tasks_pb2.Task.queued
    assert (after.generation.state, after.generation.reason) == ("failed", "PROVIDER_REFUSED")
    assert (await world.generate(task.id)).id != run.id


async def test_credits_that_ended_stop_the_run_and_keep_the_text(world, started):
    run, task, tell = started
    await world.progress.succeeded(
        tell(generation_pb2.GenerationSucceeded, content_id=new_id(), word_count=280)
    )
    await world.progress.illustrated(
        tell(content_pb2.ContentIllustrated, reason="INSUFFICIENT_CREDITS")
    )
    assert (await world.run(run.id)).state == runs_pb2.Run.budget_reached
    assert (await world.task(task.id)).status == tasks_pb2.Task.completed


async def test_charges_add_up_once_each(world, started):
    run, _, _ = started
    text = told(
        credits_pb2.CreditsCommitted,
        account_id=world.user.account_id,
        run_id=run.id,
        reservation_key=f"generation/{run.generations[0].id}",
        credits=3,
    )
    picture = told(
        credits_pb2.CreditsCommitted,
        account_id=world.user.account_id,
        run_id=run.id,
        reservation_key="image/x/1",
        credits=1,
    )
    for delivery in (text, picture, text, picture):
        await world.progress.charged(delivery)
    now = await world.run(run.id)
    assert now.credits_charged == 4
    assert now.generations[0].credits == 3


async def test_events_about_other_accounts_and_unknown_runs_change_nothing(world, started):
    run, _, tell = started
    foreign = tell(generation_pb2.GenerationFailed, reason="PROVIDER_REFUSED")
    foreign.message.account_id = owner().account_id
    await world.progress.failed(foreign)
    unknown = tell(generation_pb2.GenerationFailed, reason="PROVIDER_REFUSED")
    unknown.message.run_id = new_id()
    await world.progress.failed(unknown)
    assert (await world.run(run.id)).state == runs_pb2.Run.queued


async def test_turns_go_round_the_accounts_and_none_holds_more_than_its_share(world):
    other = owner()
    await world.open_account(other.account_id)
    mine = [await world.create(word_count=100) for _ in range(10)]
    more = [await world.create(word_count=100) for _ in range(5)]
    await world.generate(*(task.id for task in mine))
    await world.generate(*(task.id for task in more))
    theirs = await world.create(who=other, word_count=100)
    await world.generate(theirs.id, who=other)
    assert await world.dispatcher.release_once() == 11
    released = await world.events(generation_pb2.GenerationRequested)
    assert released[1].account_id == other.account_id
    assert released[0].brief.title == mine[0].title
    assert await world.dispatcher.release_once() == 0


async def test_a_released_generation_is_released_once(world, started):
    assert await world.dispatcher.release_once() == 1
    assert await world.dispatcher.release_once() == 0
    [requested] = await world.events(generation_pb2.GenerationRequested)
    assert requested.run_id == started[0].id
    assert requested.reservation_key == f"generation/{requested.generation_id}"


def generation(state, pictures=None):
    return Generation(
        id="g",
        task_id="t",
        task_title="",
        state=GenerationState(state),
        content_id="c" if state == "succeeded" else "",
        pictures=Pictures(state=PictureState(pictures)) if pictures else None,
    )


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([("queued", None)], RunState.QUEUED),
        ([("queued", None), ("succeeded", None)], RunState.RUNNING),
        ([("succeeded", "pending")], RunState.RUNNING),
        ([("succeeded", None)], RunState.SUCCEEDED),
        ([("succeeded", "succeeded"), ("succeeded", "succeeded")], RunState.SUCCEEDED),
        ([("succeeded", "failed")], RunState.PARTLY_FAILED),
        ([("succeeded", None), ("failed", None)], RunState.PARTLY_FAILED),
        ([("failed", "pending"), ("failed", "pending")], RunState.FAILED),
        ([("succeeded", "budget_reached"), ("failed", "pending")], RunState.BUDGET_REACHED),
        ([("cancelled", None)], RunState.CANCELLED),
    ],
)
def test_a_runs_state_follows_from_its_generations(states, expected):
    assert run_state([generation(*each) for each in states]) == expected
