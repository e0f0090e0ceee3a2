"""Reservations settled by what other services report; every event may come twice or late."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from writer.events.v1 import generation_pb2, images_pb2

from chassis.consumers import Delivery
from chassis.errors import NotFound
from chassis.ids import new_id
from services.billing import schema
from services.billing.consumers import Consumers
from services.billing.domain import Balance, Item, Operation, ReservationState
from services.billing.service import Work
from tests.billing.samples import ACCOUNT, CALL, picture, text

TENANT = {"account_id": ACCOUNT, "site_id": "site-1", "sector_id": "sector-1"}
CALLED = {"model": "gpt-5-mini", "prompt_tokens": 900, "completion_tokens": 1400}


def delivery(message, event_id=None):
    return Delivery(
        event_id=event_id or new_id(), message=message, attempt=1, consumer="billing-test"
    )


def written(words=640, key="a"):
    return generation_pb2.GenerationSucceeded(
        **TENANT,
        **CALLED,
        generation_id="generation-1",
        run_id="run-1",
        reservation_key=key,
        word_count=words,
    )


@pytest.fixture
def consumers(opened):
    return Consumers(opened.settlement)


async def usage(billing):
    table = schema.usage_records
    statement = select(table.c.credits, table.c.model, table.c.object_id, table.c.transaction_id)
    return await billing.database.read(lambda connection: connection.execute(statement).all())


async def test_a_text_is_charged_by_its_words_once_however_often_it_is_reported(
    opened, consumers, tasks
):
    await opened.reservations.reserve(tasks, [text("a")], work_for=Work(run_id="run-1"))
    same = delivery(written())
    await asyncio.gather(*(consumers.generation_succeeded(same) for _ in range(5)))
    await consumers.generation_succeeded(delivery(written(900)))
    assert await opened.balance(tasks) == Balance(100, 93, 0, 7)
    [record] = await usage(opened)
    assert (record.credits, record.model, record.object_id) == (7, "gpt-5-mini", "generation-1")
    assert record.transaction_id is not None


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_failed_text_costs_nothing_but_its_call_is_noted(opened, consumers, tasks):
    await opened.reservations.reserve(tasks, [text("a")])
    failed = generation_pb2.GenerationFailed(
        **TENANT, **CALLED, generation_id="g", reservation_key="a", reason="PROVIDER_REFUSED"
    )
    same = delivery(failed)
    for _ in range(3):
        await consumers.generation_failed(same)
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)
    assert [(each.credits, each.model) for each in await usage(opened)] == [(0, "gpt-5-mini")]
    [reason] = await opened.database.read(
        lambda connection: connection.scalars(select(schema.reservations.c.settle_reason)).all()
    )
    assert reason == "PROVIDER_REFUSED"


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_cancelled_text_costs_nothing(opened, consumers, tasks):
    await opened.reservations.reserve(tasks, [text("a")])
    cancelled = generation_pb2.GenerationCancelled(**TENANT, generation_id="g", reservation_key="a")
    same = delivery(cancelled)
    for _ in range(3):
        await consumers.generation_cancelled(same)
    # The text that was finished all the same is kept, and not charged.
    await consumers.generation_succeeded(delivery(written()))
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)
    held = await opened.reservations.get(tasks, "a")
    assert held.state is ReservationState.VOIDED


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_prompts_and_pictures_settle_theirs(opened, consumers, tasks):
    prompts = Item("prompts", Operation.IMAGE_PROMPT_EXTRACTION, 1)
    lost = Item("lost", Operation.IMAGE_PROMPT_EXTRACTION, 1)
    await opened.reservations.reserve(tasks, [prompts, lost, picture("one"), picture("two")])
    reported = [
        (
            consumers.image_prompts_ready,
            images_pb2.ImagePromptsReady(**TENANT, image_set_id="s", reservation_key="prompts"),
        ),
        (
            consumers.image_prompts_failed,
            images_pb2.ImagePromptsFailed(**TENANT, image_set_id="t", reservation_key="lost"),
        ),
        (
            consumers.image_generated,
            images_pb2.ImageGenerated(**TENANT, image_id="i", reservation_key="one"),
        ),
        (
            consumers.image_failed,
            images_pb2.ImageFailed(**TENANT, image_id="j", reservation_key="two"),
        ),
    ]
    for handle, message in reported:
        await handle(delivery(message))
    assert await opened.balance(tasks) == Balance(100, 97, 0, 3)
    assert sorted((each.object_id, each.credits) for each in await usage(opened)) == [
        ("i", 1),
        ("s", 2),
    ]


@pytest.mark.parametrize("swept", [True, False])
async def test_work_that_comes_after_expiry_is_noted_and_not_redelivered(
    opened, consumers, tasks, frozen, caplog, swept
):
    await opened.reservations.reserve(tasks, [text("a")], ttl=timedelta(hours=1))
    frozen.forward(hours=2)
    if swept:
        await opened.sweeper.sweep()
    late = delivery(written())
    await consumers.generation_succeeded(late)
    await consumers.generation_succeeded(late)
    await opened.sweeper.sweep()
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)
    assert [(each.credits, each.transaction_id) for each in await usage(opened)] == [(0, None)]
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert (await opened.reservations.get(tasks, "a")).state is ReservationState.EXPIRED


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_work_for_a_voided_reservation_is_not_charged(opened, consumers, tasks):
    await opened.reservations.reserve(tasks, [text("a")])
    await opened.settlement.void(tasks, "a", "cancelled")
    await consumers.generation_succeeded(delivery(written()))
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)
    assert [each.credits for each in await usage(opened)] == [0]


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_call_and_an_event_for_the_same_work_charge_once(opened, consumers, tasks):
    await opened.reservations.reserve(tasks, [text("a")])
    await opened.settlement.commit(tasks, "a", 640, CALL)
    await consumers.generation_succeeded(delivery(written(1000)))
    assert await opened.balance(tasks) == Balance(100, 93, 0, 7)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_giving_back_what_was_never_held_is_nothing(opened, consumers):
    failed = generation_pb2.GenerationFailed(**TENANT, **CALLED, reservation_key="nothing")
    await consumers.generation_failed(delivery(failed))
    assert await usage(opened) == []


async def test_charging_what_was_never_held_fails_and_leaves_no_trace(opened, consumers):
    unknown = delivery(written(key="nothing"))
    for _ in range(2):
        with pytest.raises(NotFound):
            await consumers.generation_succeeded(unknown)
    assert await opened.count(schema.metadata.tables["inbox"]) == 0


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_work_without_a_reservation_is_let_pass(opened, consumers, tasks):
    await consumers.generation_succeeded(delivery(written(key="")))
    await consumers.image_failed(delivery(images_pb2.ImageFailed(**TENANT)))
    assert await opened.balance(tasks) == Balance(100, 100, 0, 0)


def test_every_event_that_settles_is_heard():
    subscriptions = Consumers(settlement=None).subscriptions()
    heard = {each.message_type.DESCRIPTOR.name for each in subscriptions}
    assert heard == {
        "GenerationSucceeded",
        "GenerationFailed",
        "GenerationCancelled",
        "ImagePromptsReady",
        "ImagePromptsFailed",
        "ImageGenerated",
        "ImageFailed",
    }
