"""Processes die between their commit and their acknowledgement, and while the model works."""

import pytest
from crashes import invariants
from crashes.writer import Customer, consumers_of

from chassis.ids import new_id

# Every consumer of every service; a test compares this with what NATS knows.
CONSUMERS = {
    "tasks": (
        "generation-started",
        "generation-succeeded",
        "generation-failed",
        "content-illustrated",
        "credits-committed",
    ),
    "content": (
        "generation-requested",
        "image-prompts_ready",
        "image-generated",
        "image-failed",
        "image-set_completed",
    ),
    "images": ("generation-succeeded", "image-prompts_ready", "image-requested"),
    "billing": (
        "generation-succeeded",
        "generation-failed",
        "image-prompts_ready",
        "image-prompts_failed",
        "image-generated",
        "image-failed",
    ),
}


# Together they make every event of the pipeline happen.
DESTINIES = ("text:refuse", "prompts:refuse", "image:refuse", "")
ENDS = [("failed", "pending"), *(("succeeded", end) for end in ("failed", "failed", "succeeded"))]


def title(fault=""):
    """A title that nobody else has, with a marker for the offline model."""
    return f"{new_id()} {f'[[offline:{fault}]]' if fault else ''}".strip()


def all_ended_as_destined(writer, customer, run):
    """The four tasks of DESTINIES have come to their ends, each once."""
    run = customer.run(run["id"])
    assert run["state"] == "partly_failed"
    ends = [(each["state"], each["images"]["state"]) for each in run["generations"]]
    assert ends == ENDS
    invariants.check(writer)
    invariants.account_adds_up(customer)


def test_a_text_is_written_once_when_its_worker_dies_while_the_model_works(writer):
    customer = Customer(writer)
    name = title("text:slow=20*1")
    run = customer.order(name, stop_after="images")
    writer.wait(lambda: writer.call_states(name[:36]) == ["running"], "the model works")

    writer.stack.kill("content")
    writer.wait(lambda: writer.call_states(name[:36])[0] == "aborted", "the model is left alone")
    writer.settle()

    assert writer.call_states(name[:36]) == ["aborted", "answered"]
    run = customer.run(run["id"])
    assert run["state"] == "succeeded"
    [generation] = run["generations"]
    assert generation["attempt"] == 2
    assert generation["images"]["generated"] == 3
    invariants.check(writer)
    invariants.account_adds_up(customer)


def test_every_consumer_may_die_between_its_commit_and_its_acknowledgement(writer):
    assert set(consumers_of(writer.stack.nats.url)[1]) == {
        f"{service}-{fact}" for service, facts in CONSUMERS.items() for fact in facts
    }
    customer = Customer(writer)
    tasks = customer.tasks(*map(title, DESTINIES))
    for service, facts in CONSUMERS.items():
        for fact in facts:
            writer.order(service, f"ack.{service}-{fact}")

    run = customer.generate_at_last(tasks, stop_after="images")
    writer.settle()

    all_ended_as_destined(writer, customer, run)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("service", "fact"), [(service, fact) for service in CONSUMERS for fact in CONSUMERS[service]]
)
def test_a_consumer_dies_between_its_commit_and_its_acknowledgement(writer, service, fact):
    customer = Customer(writer)
    tasks = customer.tasks(*map(title, DESTINIES))
    writer.order(service, f"ack.{service}-{fact}")

    run = customer.generate_at_last(tasks, stop_after="images")
    writer.settle()

    all_ended_as_destined(writer, customer, run)
