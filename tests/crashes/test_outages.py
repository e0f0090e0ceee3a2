"""Several processes at once, everything at once, and NATS: down, restarted, killed."""

import os
import signal
import time

import httpx
import pytest
from crashes import invariants
from crashes.destinies import DESTINIES, all_ended_as_destined, title
from crashes.writer import Customer

from standalone.rest import Refused

SLOW_TEXT = "text:slow=2"
SERVICES = ["billing", "content", "identity", "images", "tasks"]
PROCESSES = ["gateway", "billing", "content", "images", "tasks"]
FROZEN_MAX_S = 30


@pytest.mark.slow
def test_everything_is_killed_at_once_and_the_work_of_yesterday_goes_on_by_itself(writer):
    customer = Customer(writer)
    written = customer.order(title(), stop_after="images")
    writer.wait(lambda: images_of(writer, customer), "pictures are made")
    begun = title("text:slow=3")
    waiting = customer.order(begun, title(), title())
    writer.wait(lambda: writer.call_states(begun[:36]), "the model works")

    writer.kill_all()
    writer.start()
    writer.settle()

    for run in (written, waiting):
        assert customer.run(run["id"])["state"] == "succeeded"
    invariants.check(writer)
    invariants.account_adds_up(customer)


def images_of(writer, customer):
    return writer.rows("images", "SELECT id FROM images WHERE account_id = ?", customer.id)


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [("content", "billing"), ("tasks", "images"), ("content", "images", "billing"), ("gateway",)],
    ids=" and ".join,
)
def test_several_processes_die_at_once(writer, names):
    customer = Customer(writer)
    run = customer.order(*map(title, DESTINIES), stop_after="images")
    writer.wait(lambda: images_of(writer, customer), "pictures are made")

    for name in names:
        writer.stack.kill(name)
    writer.settle()

    all_ended_as_destined(writer, customer, run)


def test_nats_is_killed_and_restarted_under_load_and_nothing_is_lost(writer):
    customers = [Customer(writer) for _ in range(3)]
    runs = [
        (customer, customer.order(*(title("text:slow=1") for _ in range(9))))
        for customer in customers
    ]
    runs.append((customers[0], customers[0].order(title(), stop_after="images")))
    writer.wait(lambda: "running" in writer.call_states(""), "the model works")
    nats = writer.stack.nats

    nats.kill()
    later = [customer.order(title()) for customer in customers]
    assert all(run["state"] == "queued" for run in later)
    # What was begun is written and stored all the same, and waits to be told.
    writer.wait(lambda: "running" not in writer.call_states(""), "the model has answered")
    writer.wait(lambda: writer.rows("content", "SELECT type FROM outbox"), "news wait")
    nats.start()
    writer.wait(lambda: finished(writer, runs) > 3, "work goes on after the crash")
    nats.restart()
    writer.settle()

    for customer, run in [*runs, *zip(customers, later, strict=True)]:
        assert customer.run(run["id"])["state"] == "succeeded"
    invariants.check(writer)
    for customer in customers:
        invariants.account_adds_up(customer)


def running(writer):
    return writer.rows("tasks", "SELECT id FROM generations WHERE state = 'running'")


def finished(writer, runs):
    ids = [run["id"] for _, run in runs]
    marks = ", ".join("?" * len(ids))
    query = f"SELECT id FROM generations WHERE state = 'succeeded' AND run_id IN ({marks})"
    return len(writer.rows("tasks", query, *ids))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("times", [1, 4])
def test_nats_goes_again_and_again_while_pictures_are_made(writer, how, times):
    customers = [Customer(writer) for _ in range(3)]
    runs = [
        (customer, customer.order(*(title("text:slow=1") for _ in range(10)), stop_after="images"))
        for customer in customers
    ]
    nats = writer.stack.nats
    for round_ in range(times):
        enough = len(runs) * 10 * round_ // times
        writer.wait(lambda enough=enough: finished(writer, runs) > enough, "work goes on", 120)
        getattr(nats, how)()
        nats.start()
    writer.settle(within_s=180)

    for customer, run in runs:
        assert customer.run(run["id"])["state"] == "succeeded"
        invariants.account_adds_up(customer)
    invariants.check(writer)


@pytest.mark.slow
def test_a_frozen_nats_is_an_outage_like_any_other(writer):
    customer = Customer(writer)
    run = customer.order(*(title(SLOW_TEXT) for _ in range(5)))
    writer.wait(lambda: running(writer), "the model works")

    writer.stack.nats._process.send_signal(signal.SIGSTOP)
    try:
        later = customer.order(title(), stop_after="images")
        writer.wait(lambda: contents_of(writer, customer) >= 5, "texts are stored all the same")
    finally:
        writer.stack.nats._process.send_signal(signal.SIGCONT)
    writer.settle()

    for each in (run, later):
        assert customer.run(each["id"])["state"] == "succeeded"
    invariants.check(writer)
    invariants.account_adds_up(customer)


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["postgresql"], indirect=True)
def test_a_frozen_database_holds_no_request_for_long_and_loses_nothing(writer, postgres):
    customer = Customer(writer)
    run = customer.order(*(title(SLOW_TEXT) for _ in range(3)))
    writer.wait(lambda: running(writer), "the model works")

    with postgres.frozen(), httpx.Client(base_url=writer.stack.url, trust_env=False) as client:
        began_s = time.monotonic()
        with pytest.raises(Refused) as refused:
            customer.rest().get_data("auth/me")
        # Who asks is remembered for a moment: then it is the service that says nothing.
        assert refused.value.status in (503, 504)
        missing = []
        while len(missing) < len(SERVICES):
            assert time.monotonic() - began_s < FROZEN_MAX_S, missing
            time.sleep(0.5)
            missing = (
                client.get("/readyz", timeout=30).json().get("details", {}).get("not_ready", [])
            )
        assert missing == SERVICES
        assert client.get("/healthz").status_code == 200
    writer.settle()

    assert customer.run(run["id"])["state"] == "succeeded"
    ready = f"{writer.stack.url}/readyz"
    writer.wait(lambda: httpx.get(ready, trust_env=False).status_code == 200, "all are ready")
    invariants.check(writer)
    invariants.account_adds_up(customer)


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["postgresql"], indirect=True)
def test_every_process_ends_when_it_is_told_to_while_its_database_is_frozen(writer, postgres):
    customer = Customer(writer)
    run = customer.order(*(title(SLOW_TEXT) for _ in range(3)), stop_after="images")
    writer.wait(lambda: running(writer), "the model works")

    with postgres.frozen():
        # Idle connections, and such as somebody waits at.
        time.sleep(1)
        for name in PROCESSES:
            os.kill(writer.stack.pids[name], signal.SIGTERM)
        for name in PROCESSES:
            writer.await_death(name)
    writer.settle()

    assert customer.run(run["id"])["state"] == "succeeded"
    invariants.check(writer)
    invariants.account_adds_up(customer)


def contents_of(writer, customer):
    query = "SELECT id FROM contents WHERE account_id = ?"
    return len(writer.rows("content", query, customer.id))


def test_a_dead_billing_refuses_new_work_and_delays_what_was_paid_for(writer):
    customer = Customer(writer)
    tasks = customer.tasks(title())
    run = customer.order(title("text:slow=1"), stop_after="images")
    writer.stack.kill("billing")

    with pytest.raises(Refused) as refused:
        customer.generate(tasks)
    assert refused.value.status == 503
    writer.settle()

    assert customer.run(run["id"])["state"] == "succeeded"
    [(count,)] = writer.rows("tasks", "SELECT COUNT(*) FROM runs WHERE account_id = ?", customer.id)
    assert count == 1
    invariants.check(writer)
    invariants.account_adds_up(customer)
