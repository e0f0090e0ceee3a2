"""Processes die between their commit and their acknowledgement, and while the model works."""

import pytest
from crashes import invariants
from crashes.destinies import DESTINIES, all_ended_as_destined, title
from crashes.writer import WITHIN_S, Customer, consumers_of

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
# Heard already, and sent by nobody yet.
UNSENT = {"billing-generation-cancelled"}
on_both = pytest.mark.parametrize(
    "writer", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


@on_both
@pytest.mark.parametrize(
    ("service", "stage", "asked"),
    [
        ("content", "text", 1),
        pytest.param("images", "prompts", 1, marks=pytest.mark.slow),
        pytest.param("images", "image", 3, marks=pytest.mark.slow),
    ],
)
def test_work_counts_once_when_its_worker_dies_while_the_model_works(writer, service, stage, asked):
    customer = Customer(writer)
    name = title(f"{stage}:slow=20*1")

    def calls():
        return [each["state"] for each in writer.model_calls(stage, name[:36])]

    run = customer.order(name, stop_after="images")
    writer.wait(lambda: calls() == ["running"] * asked, "the model works")

    writer.stack.kill(service)
    writer.wait(lambda: calls()[:asked] == ["aborted"] * asked, "the model is left alone")
    writer.settle()

    assert calls() == ["aborted"] * asked + ["answered"] * asked
    run = customer.run(run["id"])
    assert run["state"] == "succeeded"
    [generation] = run["generations"]
    assert generation["attempt"] == (2 if stage == "text" else 1)
    assert generation["images"]["generated"] == 3
    invariants.check(writer)
    invariants.account_adds_up(customer)


@on_both
def test_every_consumer_may_die_between_its_commit_and_its_acknowledgement(writer):
    assert set(consumers_of(writer.stack.nats.url)[1]) - UNSENT == {
        f"{service}-{fact}" for service, facts in CONSUMERS.items() for fact in facts
    }
    customer = Customer(writer)
    tasks = customer.tasks(*map(title, DESTINIES))
    for service, facts in CONSUMERS.items():
        for fact in facts:
            writer.order(service, f"ack.{service}-{fact}")

    run = customer.generate_at_last(tasks, stop_after="images")
    # Seventeen deaths one after the other, each waited out: on a busy machine that adds up.
    writer.settle(within_s=2 * WITHIN_S)

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
