"""Processes die on the way from a commit to the stream, and between two services' commits."""

import pytest
from crashes import invariants
from crashes.destinies import DESTINIES, all_ended_as_destined, title
from crashes.writer import Customer, registration, rest

from chassis.ids import new_id
from standalone.rest import Refused, Unreachable

# Every event that one flow of DESTINIES makes; `commit`: committed and not yet claimed by the
# relay, `publish`: claimed and not sent, `published`: stored by NATS and not deleted here.
FACTS = {
    "tasks": ("run.created", "generation.requested", "run.ended"),
    "content": (
        "generation.started",
        "generation.succeeded",
        "generation.failed",
        "content.created",
        "content.status_changed",
        "content.illustrated",
    ),
    "images": (
        "image.prompts_ready",
        "image.prompts_failed",
        "image.requested",
        "image.generated",
        "image.failed",
        "image.set_completed",
    ),
    "billing": ("credits.reserved", "credits.committed", "credits.voided"),
}
POINTS = ("commit", "publish", "published")


@pytest.mark.slow
def test_an_event_is_published_though_its_process_dies_before_and_after_that(writer):
    customer = Customer(writer)
    tasks = customer.tasks(title())
    writer.order("tasks", "published.generation.requested")
    writer.order("content", "publish.generation.succeeded")
    writer.order("images", "commit.image.prompts_ready")
    writer.order("images", "published.image.generated")
    writer.order("billing", "published.credits.committed")

    run = customer.generate_at_last(tasks, stop_after="images")
    writer.settle()

    assert customer.run(run["id"])["state"] == "succeeded"
    invariants.check(writer)
    invariants.account_adds_up(customer)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(
    ("service", "fact"), [(service, fact) for service in FACTS for fact in FACTS[service]]
)
def test_a_process_dies_on_the_way_from_a_commit_to_the_stream(writer, service, fact, point):
    customer = Customer(writer)
    tasks = customer.tasks(*map(title, DESTINIES))
    writer.order(service, f"{point}.{fact}")

    run = customer.generate_at_last(tasks, stop_after="images")
    writer.settle()

    all_ended_as_destined(writer, customer, run)


def test_a_request_to_write_is_repeated_after_its_credits_were_held_and_its_process_died(writer):
    customer = Customer(writer)
    tasks = customer.tasks(title(), title())
    key = new_id()
    writer.order("tasks", "reserved")

    with pytest.raises(Refused) as refused:
        customer.generate(tasks, key=key)
    assert refused.value.status in (502, 503)
    held = customer.balance()["reserved"]
    assert held > 0

    first = writer.wait(lambda: customer.generate(tasks, key=key), "the request is taken")
    again = customer.generate(tasks, key=key)
    writer.settle()

    assert again["id"] == first["id"]
    account = (customer.id,)
    assert writer.rows("tasks", "SELECT id FROM runs WHERE account_id = ?", *account) == [
        (first["id"],)
    ]
    [(reserved,)] = writer.rows(
        "billing", "SELECT SUM(credits_reserved) FROM reservations WHERE account_id = ?", *account
    )
    assert reserved == held
    assert customer.run(first["id"])["state"] == "succeeded"
    invariants.check(writer)
    invariants.account_adds_up(customer)


def test_a_registration_is_repeated_after_its_credits_were_granted_and_its_process_died(writer):
    person, key = registration(), new_id()
    writer.order("gateway", "opened")

    with pytest.raises(Unreachable):
        rest(writer, key=key).post("auth/register", person)
    writer.await_death("gateway")
    session = writer.wait(
        lambda: rest(writer, key=key).post("auth/register", person), "the registration is taken"
    )

    opened = writer.rows("billing", "SELECT account_id FROM subscriptions")
    known = writer.rows("identity", "SELECT id FROM accounts")
    assert sorted(opened) == sorted(known)
    assert (session["account"]["id"],) in known
    writer.settle()
    invariants.check(writer)


@pytest.mark.slow
def test_images_dies_after_credits_were_held_and_after_a_file_was_stored(writer):
    customer = Customer(writer)
    run = customer.order(title("text:slow=1"), stop_after="images")
    writer.order("images", "reserved")
    writer.order("images", "filed")
    writer.settle()

    assert customer.run(run["id"])["state"] == "succeeded"
    invariants.check(writer)
    invariants.account_adds_up(customer)
