"""From the outbox to the stream: nothing lost, whatever breaks in between."""

import asyncio

import pytest
from writer.events.v1 import generation_pb2

from chassis import outbox as outbox_module
from chassis.bus import STREAM, Bus
from chassis.events import PAYLOAD_MAX_BYTES
from chassis.inbox import first_time, forget
from chassis.outbox import BATCH, Outbox, Relay
from chassis.plumbing import new_metadata

ROWS = new_metadata().tables["outbox"]


def run_ended(run_id="run-1", site_id="site"):
    return generation_pb2.RunEnded(account_id="acme", site_id=site_id, run_id=run_id)


async def append(database, *runs):
    outbox = Outbox("tasks")
    return await database.write(
        lambda connection: [outbox.append(connection, run_ended(run), run) for run in runs]
    )


async def rows(database):
    return await database.read(lambda connection: connection.execute(ROWS.select()).all())


async def stored(bus):
    """All messages of the stream, oldest first."""
    stream = (await bus.ready()).jetstream()
    state = (await stream.stream_info(STREAM)).state
    return [await stream.get_msg(STREAM, seq) for seq in range(1, state.last_seq + 1)]


async def until_published(database, count, bus, timeout_s=10.0):
    async with asyncio.timeout(timeout_s):
        while await rows(database):
            await asyncio.sleep(0.01)
        messages = await stored(bus)
        assert len(messages) == count
        return messages


class TestAppend:
    async def test_a_rolled_back_transaction_leaves_no_event(self, sqlite_database):
        def work(connection):
            Outbox("tasks").append(connection, run_ended(), "run-1")
            raise LookupError("after all, no")

        with pytest.raises(LookupError):
            await sqlite_database.write(work)
        assert await rows(sqlite_database) == []

    async def test_a_body_that_no_server_would_take_is_refused(self, sqlite_database):
        event = run_ended("x" * PAYLOAD_MAX_BYTES)
        with pytest.raises(ValueError, match="too large"):
            await sqlite_database.write(lambda c: Outbox("tasks").append(c, event, "run-1"))

    async def test_the_request_id_is_the_events_own_or_the_callers(self, sqlite_database):
        created = generation_pb2.RunCreated(account_id="acme", request_id="own")

        def work(connection):
            outbox = Outbox("tasks")
            outbox.append(connection, created, "run-1")
            outbox.append(connection, run_ended(), "run-1", request_id="r" * 100)

        await sqlite_database.write(work)
        assert [row.request_id for row in await rows(sqlite_database)] == ["own", "r" * 64]


class TestRelay:
    async def test_an_event_reaches_the_stream_in_a_cloudevents_envelope(
        self, sqlite_database, bus, starting
    ):
        starting(Relay(sqlite_database, bus))
        [event_id] = await append(sqlite_database, "run-1")
        [message] = await until_published(sqlite_database, 1, bus)
        assert message.subject == "writer.acme.site.run.ended"
        assert message.headers["ce-id"] == message.headers["Nats-Msg-Id"] == event_id
        assert message.headers["ce-type"] == "writer.events.v1.RunEnded"
        assert message.headers["ce-source"] == "tasks"
        assert message.headers["ce-subject"] == "run-1"
        assert generation_pb2.RunEnded.FromString(message.data) == run_ended()

    async def test_more_than_a_batch_arrives_complete_and_in_order(self, database, bus, starting):
        runs = [f"run-{number}" for number in range(BATCH + 44)]
        await append(database, *runs)
        starting(Relay(database, bus))
        messages = await until_published(database, len(runs), bus)
        assert [message.headers["ce-subject"] for message in messages] == runs

    async def test_two_relays_on_one_database_share_the_events_between_them(
        self, database, bus, starting, monkeypatch
    ):
        sent, publish = [], bus.publish

        async def note_and_publish(batch):
            sent.extend(event.headers["ce-subject"] for event in batch)
            return await publish(batch)

        monkeypatch.setattr(bus, "publish", note_and_publish)
        for _ in range(2):
            starting(Relay(database, bus))
        for number in range(30):
            await append(database, *[f"run-{number}-{part}" for part in range(5)])
        messages = await until_published(database, 150, bus)
        assert len({message.headers["ce-subject"] for message in messages}) == 150
        assert len(sent) == 150

    async def test_an_event_is_stored_once_when_the_relay_dies_before_it_forgets_the_row(
        self, database, bus, starting, monkeypatch
    ):
        monkeypatch.setattr(outbox_module, "LEASE_S", 0.3)

        class Dying(Relay):
            async def _settle(self, *_rows):
                raise ConnectionError("killed here")

        await append(database, "run-1", "run-2")
        dying = Dying(database, bus)
        dying.start()
        await dying.stop()
        assert len(await rows(database)) == len(await stored(bus)) == 2
        starting(Relay(database, bus))
        messages = await until_published(database, 2, bus)
        assert [message.headers["ce-subject"] for message in messages] == ["run-1", "run-2"]

    async def test_events_wait_while_nats_is_down_and_leave_when_it_is_back(
        self, sqlite_database, nats_server, bus, starting, eventually
    ):
        relay = starting(Relay(sqlite_database, bus))
        nats_server.stop()
        await eventually(lambda: not bus.connected)
        await append(sqlite_database, "run-1", "run-2")
        await eventually(lambda: relay.lag_s > 0)
        nats_server.start()
        await until_published(sqlite_database, 2, bus)
        await eventually(lambda: relay.lag_s == 0)

    async def test_a_stream_that_was_deleted_is_made_again(self, sqlite_database, bus, starting):
        await (await bus.ready()).jetstream().delete_stream(STREAM)
        starting(Relay(sqlite_database, bus))
        await append(sqlite_database, "run-1")
        await until_published(sqlite_database, 1, bus)

    async def test_stopping_publishes_what_is_there(self, sqlite_database, bus):
        relay = Relay(sqlite_database, bus)
        await append(sqlite_database, "run-1")
        relay.start()
        await relay.stop()
        await until_published(sqlite_database, 1, bus)

    async def test_it_starts_before_nats_does(self, sqlite_database, nats_server, starting):
        nats_server.stop()
        bus = Bus(nats_server.url, "early")
        opening = asyncio.create_task(bus.open())
        starting(Relay(sqlite_database, bus))
        await append(sqlite_database, "run-1")
        nats_server.start()
        await opening
        await until_published(sqlite_database, 1, bus)
        await bus.close()


class TestInbox:
    async def test_an_event_is_new_to_each_consumer_once(self, database):
        async def note(consumer, event_id):
            return await database.write(lambda c: first_time(c, consumer, event_id))

        assert await note("a", "1")
        assert not await note("a", "1")
        assert await note("b", "1")
        assert await note("a", "2")

    async def test_two_transactions_with_the_same_event_agree_on_one_first(self, database):
        work = [database.write(lambda c: first_time(c, "a", "1")) for _ in range(8)]
        assert sorted(await asyncio.gather(*work)) == [False] * 7 + [True]

    async def test_what_was_rolled_back_is_new_again(self, database):
        def fail(connection):
            assert first_time(connection, "a", "1")
            raise LookupError("after all, no")

        with pytest.raises(LookupError):
            await database.write(fail)
        assert await database.write(lambda c: first_time(c, "a", "1"))

    async def test_old_events_are_forgotten(self, database):
        from chassis import clock

        await database.write(lambda c: first_time(c, "a", "1"))
        assert await database.write(lambda c: forget(c, clock.now())) in {0, 1}
        later = clock.now().replace(year=clock.now().year + 1)
        await database.write(lambda c: forget(c, later))
        assert await database.write(lambda c: first_time(c, "a", "1"))
