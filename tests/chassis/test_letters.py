"""The command that lists dead letters and sends them again."""

import asyncio

import pytest
from writer.events.v1 import content_pb2

from chassis import dead_letters, letters
from chassis.consumers import Consumers, Subscription
from chassis.database import open_database
from chassis.ids import new_id
from chassis.migrate import upgrade
from chassis.outbox import Outbox, Relay

WITHIN_S = 10.0


async def test_a_dead_letter_is_listed_and_handled_after_it_was_sent_again(
    tmp_path, nats_server, bus, monkeypatch, capsys
):
    url = f"sqlite:///{tmp_path}/letters.db"
    await asyncio.to_thread(upgrade, url, "services.content")
    monkeypatch.setenv("WRITER_DATABASE_URL", url)
    monkeypatch.setenv("WRITER_NATS_URL", nats_server.url)
    database = open_database(url)
    broken, handled = True, asyncio.Event()

    async def handle(delivery):
        if broken:
            raise RuntimeError("cannot be done today")
        handled.set()

    consumers = Consumers(
        "content",
        bus,
        database,
        [Subscription(content_pb2.ClusterRenamed, handle)],
        deliveries_max=1,
        backoff_s=[0.01],
    )
    relay = Relay(database, bus)
    consumers.start()
    relay.start()
    message = content_pb2.ClusterRenamed(account_id=new_id(), site_id="s", cluster_id="c")
    await database.write(lambda c: Outbox("content").append(c, message, about="c"))
    async with asyncio.timeout(WITHIN_S):
        while not (found := await database.read(dead_letters.list_letters)):
            await asyncio.sleep(0.02)
    await asyncio.to_thread(letters.main, ["list"])
    listed = capsys.readouterr().out
    assert found[0].id in listed
    assert "cannot be done today" in listed
    broken = False
    await asyncio.to_thread(letters.main, ["redrive", found[0].id])
    async with asyncio.timeout(WITHIN_S):
        await handled.wait()
    assert await database.read(dead_letters.list_letters) == []
    with pytest.raises(SystemExit, match="There is no dead letter"):
        await asyncio.to_thread(letters.main, ["redrive", found[0].id])
    await consumers.stop()
    await relay.stop()
    await database.close()


def test_a_missing_setting_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "empty.db").touch()
    monkeypatch.setenv("WRITER_DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    monkeypatch.delenv("WRITER_NATS_URL", raising=False)
    with pytest.raises(SystemExit, match="WRITER_NATS_URL is not set"):
        letters.main(["redrive", "x"])
