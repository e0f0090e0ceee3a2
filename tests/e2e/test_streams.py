"""Server-sent events of a whole Writer: a run from its start to its end, through every process."""

import asyncio

import pytest
from e2e.people import API
from support import sse


@pytest.fixture
async def read():
    """`await read(account, path)`: an open stream."""
    opened = []

    async def read(account, path, **options):
        port, who = account.client.base_url.port, account.authorization
        opened.append(await sse.connect(port, f"{API}/{path}", authorization=who, **options))
        return opened[-1]

    yield read
    for stream in opened:
        await stream.closed()


async def test_a_run_is_watched_from_its_start_to_its_end(account, read):
    task = await account.add_task()
    everything = await read(account, "events")
    run = await account.generate(task["id"], stop_after="images")
    stream = await read(account, f"writer/runs/{run['id']}/watch")
    state, *events, end = await stream.rest()
    assert (state.type, state.data["id"]) == ("run", run["id"])
    told = [event.type for event in events]
    assert {"generation.started", "content.created", "generation.succeeded"} <= set(told)
    assert told.count("image.generated") == 3
    assert told[-1] == "run.ended"
    assert events[-1].data["data"]["state"] == "succeeded"
    assert end.data == {"reason": "RUN_ENDED", "reconnect": False}
    ids = [int(event.id) for event in events]
    assert ids == sorted(set(ids))
    # The account's stream has the same, and the credits beside them.
    seen = await everything.until("run.ended")
    assert set(ids) <= {int(event.id) for event in seen}
    assert "credits.reserved" in {event.type for event in seen}


async def test_a_run_of_another_account_is_not_there(account, writer, read):
    run = await account.generate((await account.add_task())["id"])
    stranger = await writer.register()
    stream = await read(stranger, f"writer/runs/{run['id']}/watch")
    unknown = await read(stranger, "writer/runs/none/watch")
    assert (stream.status, unknown.status) == (404, 404)
    assert (await stream.body())["code"] == (await unknown.body())["code"] == "NOT_FOUND"


async def test_a_key_that_is_revoked_ends_its_stream(account, read):
    key = await account.create("auth/api_keys", {"name": "reader", "role": "viewer"})
    stream = await read(account.by(f"ApiKey {key['key']}"), "events")
    await stream.heard("connected")
    answer = await account.call("POST", f"auth/api_keys/{key['id']}/revoke", json={})
    assert answer.status_code == 200, answer.text
    end = await stream.next(timeout_s=5)
    assert end.data == {"reason": "KEY_REVOKED", "reconnect": False}


@pytest.mark.parametrize("how", ["kill", "restart"])
async def test_a_reader_goes_on_where_it_was_when_its_gateway_is_gone(account, writer, read, how):
    stack = writer.stack
    stream = await read(account, "events")
    first = await account.written("Roses")
    seen = await stream.until("run.ended")
    if how == "kill":
        await asyncio.to_thread(stack.kill, "gateway")
        with pytest.raises(asyncio.IncompleteReadError):
            await stream.rest()
        await asyncio.to_thread(stack.restart, "gateway")
    else:
        # In order: the stream is told to come back.
        restarting = asyncio.create_task(asyncio.to_thread(stack.restart, "gateway"))
        *more, end = await stream.rest()
        seen += more
        assert end.data == {"reason": "SHUTTING_DOWN", "reconnect": True}
        await restarting
    second = await account.written("Tulips")
    again = await read(account, "events", last_id=stream.last_id)
    seen += await again.until("run.ended")
    ended = [event.data["data"]["run_id"] for event in seen if event.type == "run.ended"]
    assert ended == [first["id"], second["id"]]
    assert len({event.data["id"] for event in seen}) == len(seen)
