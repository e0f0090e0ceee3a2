"""Runs over gRPC, with the real billing service behind them."""

import asyncio
from dataclasses import replace

import pytest
from writer.billing.v1 import budgets_pb2, budgets_pb2_grpc
from writer.events.v1 import generation_pb2
from writer.tasks.v1 import runs_pb2, tasks_pb2

from chassis.ids import new_id

from .conftest import owner


async def test_a_run_holds_credits_and_answers_at_once(world):
    first, second = await world.create(word_count=250), await world.create(word_count=1000)
    run = await world.generate(first.id, second.id)
    assert run.state == runs_pb2.Run.queued
    assert run.credits_reserved == 3 + 10
    assert run.counts.queued == 2
    assert [g.task_id for g in run.generations] == [first.id, second.id]
    assert all(g.reservation_id for g in run.generations)
    balance = await world.balance()
    assert (balance.reserved, balance.available) == (13, 87)
    assert (await world.task(first.id)).generation.run_id == run.id
    [created] = await world.events(generation_pb2.RunCreated)
    assert (created.run_id, created.tasks) == (run.id, 2)


async def test_too_few_credits_change_nothing(world):
    tasks = [await world.create(word_count=10_000) for _ in range(2)]
    refusal = await world.refused(world.generate(*(task.id for task in tasks)))
    assert refusal.reason == "INSUFFICIENT_CREDITS"
    assert refusal.metadata["required"] == "200"
    assert refusal.metadata["available"] == "100"
    assert (await world.balance()).reserved == 0
    assert (await world.task(tasks[0].id)) == tasks[0]
    assert await world.events(generation_pb2.RunCreated) == []


async def test_the_key_that_asks_is_held_to_its_budget(world):
    stub = world.billing.stub(budgets_pb2_grpc.BudgetServiceStub)
    budget = budgets_pb2.Budget(scope="api_key", scope_id="key-1", credits=2)
    request = budgets_pb2.CreateBudgetRequest(budget=budget)
    await world.billing.call(stub.CreateBudget, request, world.user)
    task = await world.create()
    by_key = replace(world.user, principal="key:key-1")
    refusal = await world.refused(world.generate(task.id, who=by_key))
    assert refusal.reason == "INSUFFICIENT_CREDITS"
    assert (refusal.metadata["limit"], refusal.metadata["limit_id"]) == ("api_key", "key-1")
    await world.generate(task.id)


async def test_missing_tasks_are_named_all_of_them(world):
    task = await world.create()
    theirs = await world.create(who=(stranger := owner()), cluster_id=None)
    assert stranger.account_id != world.user.account_id
    unknown = new_id()
    refusal = await world.refused(world.generate(task.id, unknown, theirs.id))
    assert refusal.reason == "NOT_FOUND"
    assert refusal.metadata["ids"] == f"{unknown}, {theirs.id}"
    assert (await world.balance()).reserved == 0


@pytest.mark.parametrize(("count", "reason"), [(0, "INVALID_FIELDS"), (11, "TOO_MANY_ITEMS")])
async def test_a_call_takes_one_to_ten_tasks(world, count, reason):
    refusal = await world.refused(world.generate(*(new_id() for _ in range(count))))
    assert refusal.reason == reason
    assert [violation.field for violation in refusal.violations] == ["ids"]


async def test_a_task_is_written_by_one_run_at_a_time(world):
    task = await world.create()
    runs = await asyncio.gather(
        *(world.generate(task.id) for _ in range(6)), return_exceptions=True
    )
    started = [run for run in runs if isinstance(run, runs_pb2.Run)]
    refused = [run for run in runs if not isinstance(run, runs_pb2.Run)]
    assert len(started) == 1
    assert {refusal.reason for refusal in refused} == {"INVALID_TRANSITION"}
    assert (await world.balance()).reserved == started[0].credits_reserved


async def test_a_repeated_request_answers_the_same_run_and_holds_credits_once(world):
    task = await world.create()
    runs = await asyncio.gather(*(world.generate(task.id, request_id="r1") for _ in range(5)))
    again = await world.generate(task.id, request_id="r1")
    assert {run.id for run in runs} == {again.id}
    assert (await world.balance()).reserved == again.credits_reserved
    other = await world.create()
    refusal = await world.refused(world.generate(other.id, request_id="r1"))
    assert refusal.reason == "REQUEST_ID_REUSED"


async def test_another_request_under_the_same_id_at_the_same_time_leaves_the_winners_credits(world):
    for _ in range(6):
        task = await world.create(word_count=100)
        runs = await asyncio.gather(
            world.generate(task.id, request_id=task.id),
            world.generate(task.id, request_id=task.id, stop_after="image_prompts"),
            return_exceptions=True,
        )
        [won] = [run for run in runs if isinstance(run, runs_pb2.Run)]
        [lost] = [run for run in runs if not isinstance(run, runs_pb2.Run)]
        assert lost.reason in {"REQUEST_ID_REUSED", "INVALID_TRANSITION"}
        [generation] = won.generations
        assert await world.reservation_state(f"generation/{generation.id}") == "open"


async def test_a_completed_task_is_not_written_again(world):
    task = await world.create()
    await finish(world, await world.generate(task.id))
    refusal = await world.refused(world.generate(task.id))
    assert refusal.reason == "INVALID_TRANSITION"
    assert (await world.task(task.id)).status == tasks_pb2.Task.completed


async def test_another_accounts_run_answers_like_an_unknown_one(world):
    run = await world.generate((await world.create()).id)
    for run_id in (run.id, new_id()):
        assert (await world.refused(world.run(run_id, owner()))).reason == "NOT_FOUND"


async def finish(world, run):
    """Tells that every generation of a run has its content."""
    from .conftest import told

    for generation in run.generations:
        await world.progress.succeeded(
            told(
                generation_pb2.GenerationSucceeded,
                account_id=world.user.account_id,
                run_id=run.id,
                generation_id=generation.id,
                task_id=generation.task_id,
                content_id=new_id(),
                word_count=300,
            )
        )
