"""Names, subjects and envelopes of events."""

from datetime import UTC, datetime

import pytest
from writer.events.v1 import content_pb2, credits_pb2, generation_pb2, images_pb2

from chassis.events import (
    Envelope,
    UnreadableEventError,
    durable_name,
    envelope_of,
    name_of,
    subject_filter,
    subject_of,
)

MODULES = (content_pb2, credits_pb2, generation_pb2, images_pb2)
EVENTS = [
    getattr(module, message.name)
    for module in MODULES
    for message in module.DESCRIPTOR.message_types_by_name.values()
    if "account_id" in message.fields_by_name
]


@pytest.mark.parametrize(
    ("message_type", "subject"),
    [
        (generation_pb2.GenerationRequested, "writer.*.*.generation.requested"),
        (images_pb2.ImageSetCompleted, "writer.*.*.image.set_completed"),
        (images_pb2.ImagePromptsReady, "writer.*.*.image.prompts_ready"),
        (credits_pb2.CreditsCommitted, "writer.*.*.credits.committed"),
        (content_pb2.ContentStatusChanged, "writer.*.*.content.status_changed"),
    ],
)
def test_a_subject_follows_from_the_message_type(message_type, subject):
    assert subject_filter(message_type) == subject


def test_all_events_have_different_subjects():
    assert len({name_of(each) for each in EVENTS}) == len(EVENTS) > 15


def test_a_subject_names_the_account_and_the_site_or_a_dash():
    event = generation_pb2.RunEnded(account_id="a1", site_id="s1")
    assert subject_of(event) == "writer.a1.s1.run.ended"
    granted = credits_pb2.CreditsGranted(account_id="a1")
    assert subject_of(granted) == "writer.a1.-.credits.granted"


@pytest.mark.parametrize("account", ["", "a.b", "*", ">", "a b", "a\n", "x" * 65])
def test_an_account_that_would_change_the_subject_is_refused(account):
    with pytest.raises(ValueError, match="subject"):
        subject_of(generation_pb2.RunEnded(account_id=account))


def test_a_type_of_one_word_is_no_event():
    with pytest.raises(ValueError, match="does not name"):
        name_of(generation_pb2.Brief)


def test_a_consumer_is_named_after_the_service_and_the_event():
    name = durable_name("content", images_pb2.ImageSetCompleted)
    assert name == "content-image-set_completed"


def test_an_envelope_survives_the_way_through_headers():
    envelope = Envelope(
        event_id="0198c0de-0000-7000-8000-000000000001",
        type="writer.events.v1.RunEnded",
        source="tasks",
        about="run-1",
        time=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
        request_id='für "Zoë" 100%\r\nNats-Msg-Id: other',
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    headers = envelope.headers()
    assert headers["ce-time"] == "2026-01-02T03:04:05.678Z"
    assert headers["Nats-Msg-Id"] == headers["ce-id"] == envelope.event_id
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert envelope_of(headers, generation_pb2.RunEnded) == envelope


def test_an_event_without_an_id_cannot_be_read():
    with pytest.raises(UnreadableEventError, match="no id"):
        envelope_of({"ce-type": "writer.events.v1.RunEnded"}, generation_pb2.RunEnded)


def test_an_event_of_another_type_cannot_be_read():
    with pytest.raises(UnreadableEventError, match="carries"):
        envelope_of({"ce-id": "1", "ce-type": "x.Y"}, generation_pb2.RunEnded)


def test_a_long_id_from_outside_becomes_one_that_can_be_stored_and_stays_the_same():
    first, second = (
        envelope_of({"Nats-Msg-Id": "x" * 500}, generation_pb2.RunEnded) for _ in range(2)
    )
    assert first.event_id == second.event_id
    assert len(first.event_id) == 36
