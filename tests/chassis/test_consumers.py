"""Consumers: what is acknowledged, repeated, given up and handed back."""

import asyncio
import signal

import pytest
from writer.events.v1 import generation_pb2

from chassis import dead_letters, interceptors, pull
from chassis.bus import STREAM, Bus, Publication
from chassis.consumers import Consumers, Subscription
from chassis.errors import InvalidTransition, NotFound
from chassis.events import Envelope, subject_of
from chassis.inbox import first_time
from chassis.outbox import Outbox, Relay

QUICK = (0.05,)


def run_ended(run_id):
    return generation_pb2.RunEnded(account_id="acme", site_id="site", run_id=run_id)


async def publish(bus, *runs, payload=None):
    batch = []
    for run in runs:
        event = run_ended(run)
        envelope = Envelope(
            event_id=f"event-{run}", type=event.DESCRIPTOR.full_name, request_id=f"req-{run}"
        )
        body = event.SerializeToString() if payload is None else payload
        batch.append(Publication(subject_of(event), body, envelope.headers()))
    assert all(await bus.publish(batch))


class Service:
    """Notes each run once, in one transaction with the inbox, as a real service does."""

    def __init__(self, database=None):
        self.database = database
        self.deliveries = []
        self.runs = []
        self.given_up = []
        self.poison = set()

    async def handle(self, delivery):
        self.deliveries.append(delivery)
        if delivery.message.run_id in self.poison:
            raise LookupError(f"cannot digest {delivery.message.run_id}")
        if self.database is not None:
            consumer, event_id = delivery.consumer, delivery.event_id
            if not await self.database.write(lambda c: first_time(c, consumer, event_id)):
                return
        self.runs.append(delivery.message.run_id)

    async def give_up(self, delivery, reason):
        self.given_up.append((delivery.message.run_id, reason))

    def consumers(self, bus, database, *, ends=True, **options):
        give_up = self.give_up if ends else None
        subscription = Subscription(
            generation_pb2.RunEnded, self.handle, give_up=give_up, concurrency=4
        )
        options = {"ack_wait_s": 1.0, "deliveries_max": 3, "backoff_s": QUICK, **options}
        return Consumers("content", bus, database, [subscription], **options)


@pytest.fixture
def service(sqlite_database):
    return Service(sqlite_database)


@pytest.fixture
def start(bus, sqlite_database, starting):
    def start_consumers(service, **options):
        return starting(service.consumers(bus, sqlite_database, **options))

    return start_consumers


async def letters(database):
    return await database.read(dead_letters.list_letters)


async def unanswered(bus):
    info = await (await bus.ready()).jetstream().consumer_info(STREAM, "content-run-ended")
    return info.num_ack_pending + info.num_pending


async def until_all_answered(bus, timeout_s=10.0):
    async with asyncio.timeout(timeout_s):
        while await unanswered(bus):
            await asyncio.sleep(0.02)


class TestDelivery:
    async def test_it_carries_the_event_and_where_it_came_from(
        self, bus, start, service, eventually
    ):
        start(service)
        await publish(bus, "1")
        await eventually(lambda: service.runs)
        [delivery] = service.deliveries
        assert delivery.message == run_ended("1")
        assert (delivery.event_id, delivery.request_id) == ("event-1", "req-1")
        assert (delivery.attempt, delivery.consumer) == (1, "content-run-ended")

    async def test_what_was_published_before_the_consumer_existed_is_heard(
        self, bus, start, service, eventually
    ):
        await publish(bus, "1", "2", "3")
        start(service)
        await eventually(lambda: len(service.runs) == 3)
        await until_all_answered(bus)

    async def test_a_single_event_does_not_wait_for_a_batch_to_fill(
        self, bus, start, service, eventually
    ):
        start(service)
        for run in map(str, range(5)):
            await publish(bus, run)
            await eventually(lambda run=run: run in service.runs, timeout_s=1.0)

    async def test_no_more_run_at_once_than_there_are_hands(self, bus, start, service, eventually):
        gate, running, peak = asyncio.Event(), set(), []

        async def handle(delivery):
            running.add(delivery.event_id)
            peak.append(len(running))
            await gate.wait()
            running.remove(delivery.event_id)

        service.handle = handle
        await publish(bus, *map(str, range(20)))
        start(service)
        await eventually(lambda: len(running) == 4)
        gate.set()
        await eventually(lambda: len(peak) == 20)
        assert max(peak) == 4

    async def test_a_repeated_event_takes_effect_once(self, bus, start, service, eventually):
        handle = service.handle

        async def commit_then_fail(delivery):
            await handle(delivery)
            if delivery.attempt == 1:
                raise ConnectionError("died between commit and acknowledgement")

        service.handle = commit_then_fail
        start(service)
        await publish(bus, "1")
        await eventually(lambda: len(service.deliveries) == 2)
        await until_all_answered(bus)
        assert service.runs == ["1"]

    async def test_a_slow_handler_keeps_its_delivery_by_heartbeats(
        self, bus, start, service, eventually
    ):
        async def handle(delivery):
            service.deliveries.append(delivery)
            await asyncio.sleep(4.5)
            service.runs.append(delivery.message.run_id)

        service.handle = handle
        start(service, ack_wait_s=2.0)
        await publish(bus, "1")
        await eventually(lambda: service.runs)
        await until_all_answered(bus)
        assert len(service.deliveries) == 1

    async def test_two_processes_share_the_work(self, bus, start, service, eventually):
        other = Service()
        start(service)
        start(other)
        await publish(bus, *map(str, range(60)))
        await eventually(lambda: len(service.runs) + len(other.runs) == 60)
        assert not set(service.runs) & set(other.runs)

    async def test_two_subscriptions_to_one_event_are_refused(self, bus, service):
        twice = [Subscription(generation_pb2.RunEnded, service.handle)] * 2
        with pytest.raises(ValueError, match="same event"):
            Consumers("content", bus, service.database, twice)

    async def test_a_delivery_whose_process_was_killed_comes_again_after_the_ack_wait(
        self, bus, nats_server, sqlite_database, start, service, eventually
    ):
        async def hang(delivery):
            doomed.deliveries.append(delivery)
            await asyncio.sleep(60)

        doomed = Service()
        doomed.handle = hang
        connection = Bus(nats_server.url, "doomed")
        await connection.open()
        consumers = doomed.consumers(connection, sqlite_database)
        consumers.start()
        await publish(bus, "1")
        await eventually(lambda: doomed.deliveries)
        # Without a connection it can say nothing more, as if it had been killed.
        await connection.close()
        await consumers.stop(grace_s=0)
        start(service)
        await eventually(lambda: service.runs == ["1"])
        assert service.deliveries[0].attempt == 2

    async def test_a_handler_runs_under_the_request_id_of_its_event(
        self, bus, start, service, eventually
    ):
        async def handle(delivery):
            service.runs.append(interceptors.request_id.get())

        service.handle = handle
        start(service)
        await publish(bus, "1")
        await eventually(lambda: service.runs == ["req-1"])


class TestFailure:
    async def test_a_failure_that_passes_is_repeated_until_it_works(
        self, bus, start, service, eventually
    ):
        service.poison = {"1"}
        start(service)
        await publish(bus, "1")
        await eventually(lambda: service.deliveries)
        service.poison = set()
        await eventually(lambda: service.runs == ["1"])
        await until_all_answered(bus)
        assert await letters(service.database) == []

    async def test_poison_becomes_a_dead_letter_and_its_neighbours_go_on(
        self, bus, start, service, eventually
    ):
        service.poison = {"2"}
        start(service)
        await publish(bus, "1", "2", "3")
        await eventually(lambda: service.given_up)
        await until_all_answered(bus)
        assert sorted(service.runs) == ["1", "3"]
        assert service.given_up == [("2", "LookupError: cannot digest 2")]
        [letter] = await letters(service.database)
        assert (letter.consumer, letter.event_id) == ("content-run-ended", "event-2")
        assert (letter.attempts, letter.reason) == (3, "LookupError: cannot digest 2")
        assert letter.subject == "writer.acme.site.run.ended"
        assert letter.payload == run_ended("2").SerializeToString()
        assert letter.headers["ce-requestid"] == "req-2"

    async def test_what_cannot_be_given_up_now_stays_and_is_given_up_later(
        self, bus, start, service, eventually
    ):
        give_up, calls = service.give_up, []

        async def give_up_later(delivery, reason):
            calls.append(reason)
            if len(calls) < 3:
                raise ConnectionError("the database is down")
            await give_up(delivery, reason)

        service.poison, service.give_up = {"1"}, give_up_later
        start(service)
        await publish(bus, "1")
        await eventually(lambda: service.given_up)
        await until_all_answered(bus)
        assert len(await letters(service.database)) == 1

    async def test_a_body_that_cannot_be_read_is_a_dead_letter_at_once(
        self, bus, start, service, eventually
    ):
        start(service)
        await publish(bus, "1", payload=b"\xff\xff\xff")
        await publish(bus, "2")
        await eventually(lambda: service.runs == ["2"])
        await until_all_answered(bus)
        [letter] = await letters(service.database)
        assert (letter.payload, letter.attempts) == (b"\xff\xff\xff", 1)
        assert "cannot be read" in letter.reason
        assert service.given_up == []

    async def test_a_letter_can_be_sent_again_to_its_consumer_alone(
        self, bus, sqlite_database, start, starting, service, eventually
    ):
        other = Service()
        listening = Subscription(generation_pb2.RunEnded, other.handle)
        starting(Consumers("images", bus, sqlite_database, [listening]))
        service.poison = {"1"}
        start(service, ends=False)
        await publish(bus, "1")
        await eventually(lambda: len(service.deliveries) == 3)
        await until_all_answered(bus)
        [letter] = await letters(service.database)
        service.poison = set()
        await dead_letters.redrive(service.database, bus, letter.id)
        await eventually(lambda: service.runs == ["1"])
        await until_all_answered(bus)
        assert service.deliveries[-1].event_id == "event-1"
        assert await letters(service.database) == []
        assert len(other.deliveries) == 1

    async def test_a_letter_whose_work_has_ended_as_failed_stays(
        self, bus, start, service, eventually
    ):
        service.poison = {"1"}
        start(service)
        await publish(bus, "1")
        await eventually(lambda: service.given_up)
        await until_all_answered(bus)
        [letter] = await letters(service.database)
        assert service.given_up
        with pytest.raises(InvalidTransition):
            await dead_letters.redrive(service.database, bus, letter.id)
        assert await letters(service.database) == [letter]

    async def test_an_unknown_letter_cannot_be_sent_again(self, bus, service):
        with pytest.raises(NotFound):
            await dead_letters.redrive(service.database, bus, "nothing")


class TestEnd:
    async def test_stopping_waits_for_running_handlers(self, bus, start, service, eventually):
        async def handle(delivery):
            service.deliveries.append(delivery)
            await asyncio.sleep(0.2)
            service.runs.append(delivery.message.run_id)

        service.handle = handle
        consumers = start(service)
        await publish(bus, "1")
        await eventually(lambda: service.deliveries)
        await consumers.stop()
        assert service.runs == ["1"]
        await until_all_answered(bus)

    async def test_what_is_cut_off_at_the_end_is_delivered_to_others_at_once(
        self, bus, start, service, eventually
    ):
        async def hang(delivery):
            service.deliveries.append(delivery)
            await asyncio.sleep(60)

        service.handle = hang
        consumers = start(service, ack_wait_s=30.0)
        await publish(bus, "1")
        await eventually(lambda: service.deliveries)
        await consumers.stop(grace_s=0.05)
        heir = Service()
        start(heir, ack_wait_s=30.0)
        await eventually(lambda: heir.runs == ["1"], timeout_s=3.0)
        assert heir.deliveries[0].attempt == 2


class TestRecovery:
    async def test_a_restart_of_nats_in_the_flow_loses_nothing(
        self, bus, nats_server, sqlite_database, start, starting, service, eventually
    ):
        starting(Relay(sqlite_database, bus))
        start(service)
        outbox = Outbox("tasks")
        expected = []
        for number in range(30):
            run = str(number)
            await sqlite_database.write(lambda c, run=run: outbox.append(c, run_ended(run), run))
            expected.append(run)
            if number == 10:
                await eventually(lambda: service.runs)
                nats_server.stop(signal.SIGKILL)
            if number == 20:
                nats_server.start()
        await eventually(lambda: len(set(service.runs)) == 30)
        assert sorted(service.runs, key=int) == expected
        await until_all_answered(bus)

    async def test_a_consumer_deleted_on_the_server_comes_back(
        self, bus, start, service, eventually
    ):
        start(service)
        await publish(bus, "1")
        await eventually(lambda: service.runs)
        await until_all_answered(bus)
        await (await bus.ready()).jetstream().delete_consumer(STREAM, "content-run-ended")
        await publish(bus, "2")
        await eventually(lambda: "2" in service.runs)

    async def test_the_heartbeat_age_tells_a_dead_connection_from_a_quiet_one(
        self, nats_server, start, service, eventually, monkeypatch
    ):
        monkeypatch.setattr(pull, "HEARTBEAT_S", 0.2)
        consumers = start(service)

        def age_s():
            return consumers.heartbeat_ages()["content-run-ended"]

        await asyncio.sleep(0.8)
        await eventually(lambda: age_s() < 0.6)
        nats_server.stop()
        await eventually(lambda: age_s() > 0.6)
        nats_server.start()
        await eventually(lambda: age_s() < 0.6)
