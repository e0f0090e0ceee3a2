"""Throttles: how many requests a minute, for whom, and what the answer says."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from writer.identity.v1 import identity_pb2
from writer.tasks.v1 import runs_pb2, tasks_pb2

from chassis import clock
from gateway.admission import throttles
from gateway.admission.addresses import address_key
from gateway.admission.counters import MemoryCounter
from gateway.admission.principals import Principal
from gateway.admission.throttles import OFF, PER_MINUTE, Throttles, per_minute
from gateway.contracts import ContractError, load_contracts

TASKS = "/api/v1/writer/tasks"
GENERATE = f"{TASKS}/auto_generate_content"
LOGIN = "/api/v1/auth/login"
CREDENTIALS = {"email": "a@b.example", "password": "x"}


@pytest.fixture
def now(monkeypatch):
    """The time, which a test moves; windows begin at its start."""
    moment = [datetime(2026, 1, 1, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    monkeypatch.setattr(throttles.zlib, "crc32", lambda _: 0)
    return lambda seconds: moment.__setitem__(0, moment[0] + timedelta(seconds=seconds))


@pytest.fixture
async def stack(make_stack, now):
    limits = {**PER_MINUTE, "writer_read": 3, "writer_write": 2, "login": 2}
    counted = Throttles(MemoryCounter(), limits)
    async with make_stack("tasks", "identity", throttles=counted) as opened:
        opened.backend.answers.update(
            ListTasks=tasks_pb2.ListTasksResponse(),
            GenerateContent=runs_pb2.Run(id="r"),
            Login=identity_pb2.Session(),
        )
        yield opened


def throttle_headers(answer):
    return tuple(
        int(answer.headers[f"x-throttle-{name}"]) for name in ("limit", "remaining", "reset")
    )


async def test_each_answer_says_what_is_left(client, now):
    now(20)
    said = [throttle_headers(await client.get(TASKS)) for _ in range(3)]
    assert said == [(3, 2, 40), (3, 1, 40), (3, 0, 40)]


async def test_one_too_many_is_refused_until_the_window_ends(client, backend, now):
    now(15)
    for _ in range(3):
        assert (await client.get(TASKS)).status_code == 200
    answer = await client.get(TASKS)
    assert answer.status_code == 429
    assert answer.json()["code"] == "RATE_LIMITED"
    assert answer.headers["retry-after"] == "45"
    assert throttle_headers(answer) == (3, 0, 45)
    assert len(backend.heard) == 3
    now(44)
    assert (await client.get(TASKS)).status_code == 429
    now(1)
    assert (await client.get(TASKS)).status_code == 200


async def test_reads_writes_and_generations_are_counted_apart(client):
    for _ in range(4):
        last = await client.get(TASKS)
    assert last.status_code == 429
    # Refused for its body, which is looked at only after the throttle.
    assert (await client.post(TASKS, json={})).headers["x-throttle-limit"] == "2"
    assert throttle_headers(await client.post(GENERATE, json={"ids": ["a"]}))[:2] == (10, 9)


async def test_a_refused_request_counts_and_says_so(client):
    assert throttle_headers(await client.get(f"{TASKS}?nope=1"))[:2] == (3, 2)


async def test_all_principals_of_an_account_share_its_limit(stack):
    sent = itertools.cycle(["Bearer owner", "Bearer viewer", "ApiKey editor"])
    for _ in range(3):
        answer = await stack.client.get(TASKS, headers={"Authorization": next(sent)})
        assert answer.status_code == 200
    for _ in range(3):
        answer = await stack.client.get(TASKS, headers={"Authorization": next(sent)})
        assert answer.status_code == 429
    stack.credentials.known["Bearer stranger"] = Principal(
        principal="user:9", role="owner", account_id="another"
    )
    answer = await stack.client.get(TASKS, headers={"Authorization": "Bearer stranger"})
    assert answer.status_code == 200


async def test_whoever_has_no_account_is_counted_by_address(client, backend):
    statuses = [(await client.post(LOGIN, json=CREDENTIALS)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await client.get(TASKS)).status_code == 200


async def test_refused_credentials_use_nothing_up(stack):
    for _ in range(5):
        answer = await stack.client.get(TASKS, headers={"Authorization": "Bearer no"})
        assert answer.status_code == 401
    assert throttle_headers(await stack.client.get(TASKS))[:2] == (3, 2)


async def test_without_a_limit_nothing_is_counted(make_stack):
    counter = MemoryCounter()
    async with make_stack("tasks", throttles=Throttles(counter, OFF)) as stack:
        stack.backend.answers["ListTasks"] = tasks_pb2.ListTasksResponse()
        answer = await stack.client.get(TASKS)
        assert "x-throttle-limit" not in answer.headers
        assert len(counter) == 0


async def test_counters_whose_window_is_over_take_no_room(monkeypatch):
    counter, moment = MemoryCounter(), [0.0]
    monkeypatch.setattr(clock, "elapsed_s", lambda: moment[0])
    for minute in range(10):
        moment[0] = 60.0 * minute
        for who in "abc":
            assert await counter.incr(f"{who}:{minute}", 60) == 1
    assert len(counter) == 3


async def test_memory_is_bounded():
    counter = MemoryCounter(counters_max=3)
    for name in "aabac":
        await counter.incr(name, 60)
    assert await counter.incr("d", 60) == 1
    assert len(counter) == 3
    assert await counter.incr("a", 60) == 4
    assert await counter.incr("b", 60) == 1


@pytest.mark.parametrize(
    ("client", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_addresses_of_one_customer_count_as_one(client, key):
    assert address_key(client) == key


def test_the_defaults_are_those_of_the_domain():
    assert PER_MINUTE == {
        "writer_read": 300,
        "writer_write": 60,
        "writer_ai": 10,
        "image_gen": 15,
        "billing": 30,
        "auth": 20,
        "login": 5,
    }


def test_limits_are_configured_one_by_one_or_all_away():
    assert per_minute("") == PER_MINUTE
    assert per_minute(" auth = 7, login=0 ") == {**PER_MINUTE, "auth": 7, "login": 0}
    assert per_minute("off") == OFF
    for wrong in ("nope=1", "auth", "auth=-1", "auth=1.5", "auth=1;login=2", "off,auth=1"):
        with pytest.raises(ValueError, match="is not a limit"):
            per_minute(wrong)


def test_every_route_counts_in_a_known_scope():
    counted = Throttles(MemoryCounter())
    contracts = load_contracts()
    scopes = {counted.scope_of(each.method, each.verb) for each in contracts.bindings}
    assert scopes <= set(PER_MINUTE)
    (login,) = [method for method in contracts.methods if method.name == "Login"]
    assert counted.scope_of(login, "POST") == "login"
    with pytest.raises(ContractError, match="unknown throttle"):
        Throttles(MemoryCounter(), {"auth": 1}).scope_of(login, "POST")


async def test_the_first_request_over_the_limit_is_the_first_refused(now):
    counted = Throttles(MemoryCounter(), {"auth": 1})
    first, second = [await counted.count("auth", "a") for _ in range(2)]
    assert (first.is_over, second.is_over) == (False, True)
