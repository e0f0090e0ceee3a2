"""Processes that hang and come back, and events that kill whoever handles them."""

import signal
from dataclasses import replace

import pytest
from crashes import invariants
from crashes.destinies import title
from crashes.writer import ACK_WAIT_S, WITHIN_S, Customer

from standalone.ports import address_of, hold_port

DELIVERIES_MAX = 3


@pytest.fixture
def second(writer):
    """Another content process on the same database, that no other process calls."""
    usual = writer.program("content")
    with hold_port() as port:
        env = {**usual.env, "WRITER_LISTEN": address_of(port)}
        program = replace(usual, name="content-2", env=env)
        process = writer.stack.processes.start(program)
        yield process
        process.send(signal.SIGCONT)
        process.kill()


@pytest.mark.slow
def test_what_a_frozen_process_held_is_finished_by_another_and_not_changed_by_the_first(
    writer, second
):
    customer = Customer(writer)
    log = second.log
    writer.wait(lambda: log.exists() and '"ready"' in log.read_text(), "the second one works")
    titles = [title(f"text:slow={ACK_WAIT_S}*1") for _ in range(8)]
    run = customer.order(*titles)
    names = [name[:36] for name in titles]
    writer.wait(lambda: all(map(writer.call_states, names)), "all are being written")

    second.send(signal.SIGSTOP)
    writer.settle()
    stored = contents(writer, customer)
    repeated = [name for name in names if len(writer.call_states(name)) == 2]
    assert 0 < len(repeated) < len(names), "each of the two held some"
    assert len(stored) == len(names)
    second.send(signal.SIGCONT)
    # It drains: what it holds comes to its end, too late.
    second.send(signal.SIGTERM)
    assert second.wait(WITHIN_S)
    assert second.exit_code == 0
    writer.settle()

    assert contents(writer, customer) == stored
    assert customer.run(run["id"])["state"] == "succeeded"
    invariants.check(writer)
    invariants.account_adds_up(customer)


def contents(writer, customer):
    query = "SELECT id, revision, word_count, update_time FROM contents WHERE account_id = ?"
    return sorted(writer.rows("content", query, customer.id))


@pytest.mark.slow
@pytest.mark.parametrize("giving_up_kills", [False, True])
def test_a_text_that_kills_every_worker_is_given_up_and_its_neighbours_are_written(
    writer, giving_up_kills
):
    customer = Customer(writer)
    if giving_up_kills:
        writer.order("content", "terminate.content-generation-requested")
    poison, *others = title(), *(title("text:slow=1") for _ in range(3))
    tasks = customer.tasks(poison, *others)
    writer.order("content", f"poison.{poison}")

    with writer.changed("content", WRITER_MAX_DELIVERIES=str(DELIVERIES_MAX)):
        run = customer.generate_at_last(tasks, stop_after="content")
        writer.wait(lambda: customer.run(run["id"]).get("end_time"), "the run ends")
        writer.forget_orders()
        writer.settle()

    given_up, *written = customer.run(run["id"])["generations"]
    assert (given_up["state"], given_up["reason"]) == ("failed", "INTERNAL")
    assert [each["state"] for each in written] == ["succeeded"] * len(others)
    [(consumer, reason, attempts)] = writer.take_letters()
    assert consumer == "content-generation-requested"
    assert "not finished" in reason
    assert attempts > DELIVERIES_MAX
    invariants.check(writer)
    invariants.account_adds_up(customer)
