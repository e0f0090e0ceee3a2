"""What becomes of deliveries that processes die on: of the culprit, and of what was beside it."""

import asyncio

import pytest
from writer.events.v1 import generation_pb2

from chassis import dead_letters, inbox
from chassis.bus import STREAM, Publication
from chassis.consumers import Consumers, Subscription
from chassis.events import Envelope, subject_of

DELIVERIES_MAX = 2


class Worker:
    """Hangs on its poison, ends everything else at once; notes what it was asked to do."""

    def __init__(self, *poison):
        self.poison = set(poison)
        self.begun = []
        self.ended = []
        self.given_up = []

    async def handle(self, delivery):
        run = delivery.message.run_id
        self.begun.append(run)
        if run in self.poison:
            await asyncio.sleep(60)
        self.ended.append(run)

    async def give_up(self, delivery, reason):
        self.given_up.append((delivery.message.run_id, reason))


@pytest.fixture
def start(bus, sqlite_database, starting):
    def start_consumers(worker):
        subscription = Subscription(generation_pb2.RunEnded, worker.handle, give_up=worker.give_up)
        options = {"ack_wait_s": 1.0, "deliveries_max": DELIVERIES_MAX, "backoff_s": (0.05,)}
        return starting(Consumers("content", bus, sqlite_database, [subscription], **options))

    return start_consumers


@pytest.fixture
def die(monkeypatch, sqlite_database):
    """Ends consumers as a death of their process would: nothing is tidied up."""

    async def end(consumers):
        with monkeypatch.context() as dead:
            dead.setattr(inbox, "erase", lambda *_: None)
            await consumers.stop(grace_s=0)

    return end


async def publish(bus, *runs):
    for run in runs:
        event = generation_pb2.RunEnded(account_id="acme", site_id="site", run_id=run)
        envelope = Envelope(event_id=f"event-{run}", type=event.DESCRIPTOR.full_name)
        body = event.SerializeToString()
        assert all(await bus.publish([Publication(subject_of(event), body, envelope.headers())]))


async def until_all_answered(bus):
    stream = (await bus.ready()).jetstream()
    async with asyncio.timeout(10):
        while (await stream.consumer_info(STREAM, "content-run-ended")).num_ack_pending:
            await asyncio.sleep(0.02)  # only the server knows


async def letters(database):
    return await database.read(dead_letters.list_letters)


async def test_an_event_that_kills_its_process_is_tried_alone_and_then_given_up(
    bus, start, die, eventually, sqlite_database
):
    worker = Worker("1")
    await publish(bus, "1")
    for deaths in range(DELIVERIES_MAX + 1):
        consumers = start(worker)
        await eventually(lambda deaths=deaths: len(worker.begun) > deaths)
        await die(consumers)
    start(worker)
    await eventually(lambda: worker.given_up)
    await until_all_answered(bus)
    assert len(worker.begun) == DELIVERIES_MAX + 1
    assert worker.given_up == [("1", "not finished in 3 deliveries")]
    [letter] = await letters(sqlite_database)
    assert letter.attempts == DELIVERIES_MAX + 2


async def test_what_was_in_hand_beside_a_culprit_is_handled_in_the_end(
    bus, start, die, eventually, sqlite_database
):
    # While nobody knows which of the three it is, all of them die together.
    worker = Worker("1", "2", "3")
    await publish(bus, "1", "2", "3")
    for deaths in range(DELIVERIES_MAX):
        consumers = start(worker)
        await eventually(lambda deaths=deaths: len(worker.begun) == 3 * (deaths + 1))
        await die(consumers)
    worker.poison = {"2"}
    consumers = start(worker)
    await eventually(lambda: "2" in worker.begun[3 * DELIVERIES_MAX :])
    await die(consumers)
    start(worker)
    await eventually(lambda: worker.given_up)
    await until_all_answered(bus)
    assert sorted(worker.ended) == ["1", "3"]
    assert [run for run, _ in worker.given_up] == ["2"]
    assert len(await letters(sqlite_database)) == 1


async def test_a_process_that_is_told_to_stop_does_not_spoil_the_trial(
    bus, start, die, eventually, sqlite_database
):
    worker = Worker("1")
    await publish(bus, "1")
    for deaths in range(DELIVERIES_MAX):
        consumers = start(worker)
        await eventually(lambda deaths=deaths: len(worker.begun) > deaths)
        await die(consumers)
    consumers = start(worker)
    await eventually(lambda: len(worker.begun) > DELIVERIES_MAX)
    await consumers.stop(grace_s=0)
    worker.poison = set()
    start(worker)
    await eventually(lambda: worker.ended == ["1"])
    await until_all_answered(bus)
    assert worker.given_up == []
    assert await letters(sqlite_database) == []
