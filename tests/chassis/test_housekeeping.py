"""What is past its time is forgotten, and nothing else."""

from datetime import timedelta
from types import SimpleNamespace

from sqlalchemy import func, insert, select

from chassis import clock, housekeeping, inbox
from chassis.plumbing import new_metadata

tables = new_metadata().tables


async def count(database, name):
    return await database.read(
        lambda connection: connection.execute(
            select(func.count()).select_from(tables[name])
        ).scalar_one()
    )


async def test_only_rows_past_their_time_go_in_batches(make_database, monkeypatch):
    monkeypatch.setattr(inbox, "FORGET_BATCH", 3)
    database = await make_database("services.content")
    now = clock.now()

    def fill(connection):
        for number in range(10):
            age = housekeeping.INBOX_AGE + timedelta(hours=1 if number < 7 else -1)
            connection.execute(
                insert(tables["inbox"]).values(
                    consumer="c", event_id=str(number), create_time=now - age
                )
            )
        for number in range(4):
            age = housekeeping.REPLIES_AGE + timedelta(hours=1 if number < 3 else -1)
            connection.execute(
                insert(tables["replies"]).values(
                    account_id="a",
                    principal="p",
                    method="m",
                    request_id=str(number),
                    request_hash="",
                    response=b"",
                    create_time=now - age,
                )
            )

    await database.write(fill)
    assert await housekeeping.tidy(database) == 10
    assert (await count(database, "inbox"), await count(database, "replies")) == (3, 1)
    assert await housekeeping.tidy(database) == 0


def test_events_that_stand_still_are_told(caplog):
    relay = SimpleNamespace(lag_s=61.0)
    consumers = SimpleNamespace(heartbeat_ages=lambda: {"quick": 1.0, "silent": 90.0})
    housekeeping.warn_of_standstill(relay, consumers)
    assert [record.getMessage() for record in caplog.records] == [
        "events wait to be published",
        "a consumer is silent",
    ]
    assert caplog.records[1].consumer == "silent"
    caplog.clear()
    relay.lag_s = 0.0
    consumers.heartbeat_ages = dict
    housekeeping.warn_of_standstill(relay, consumers)
    assert caplog.records == []
