"""One generation, from its request to a stored content or a failure that says why."""

import asyncio
from html.parser import HTMLParser

import pytest
from writer.content.v1 import content_pb2 as contracts
from writer.events.v1 import content_pb2, generation_pb2

from chassis.caller import Caller
from chassis.errors import Refusal
from chassis.pages import PageQuery
from services.content.html import TAGS, clean_html
from services.content.store.content_selects import ContentFilter
from services.content.words import count_words

ALL = ContentFilter(equal={})


def first_page():
    return PageQuery.of(contracts.ListContentsRequest())


async def contents(room, *, full=False):
    found, _, _ = await room.reading.contents(room.caller, first_page(), ALL, full=full)
    return found


async def test_a_request_becomes_a_draft_with_everything_that_was_asked_for(room, requested):
    delivery = requested()
    await room.writing.requested(delivery)
    [content] = await contents(room, full=True)
    assert content.title == "How to descale a coffee machine"
    assert 270 <= content.word_count <= 330
    assert content.word_count == count_words(content.content_html)
    assert content.status == "draft"
    assert content.sector_name == "Coffee"
    assert content.generation_id == delivery.message.generation_id
    assert content.task_id == delivery.message.task_id
    assert content.categories
    assert content.tags
    assert 0 < len(content.meta_title) <= 70
    assert 0 < len(content.meta_description) <= 160
    assert content.primary_keyword
    assert content.excerpt
    assert content.provenance["model"] == "offline-writer-1"
    assert content.provenance["completion_tokens"] > 0


async def test_the_basic_list_leaves_the_body_out_and_get_has_it(room, requested):
    await room.writing.requested(requested())
    [content] = await contents(room)
    assert content.content_html is None
    assert "<h2>" in (await room.reading.content(room.caller, content.id)).content_html


async def test_success_is_told_once_with_the_words_that_are_charged(room, requested):
    delivery = requested()
    await room.writing.requested(delivery)
    [content] = await contents(room)
    [succeeded] = await room.events(generation_pb2.GenerationSucceeded)
    assert succeeded.word_count == content.word_count
    assert succeeded.content_id == content.id
    assert succeeded.reservation_key == delivery.message.reservation_key
    assert succeeded.completion_tokens > 0
    [created] = await room.events(content_pb2.ContentCreated)
    assert (created.content_id, created.status) == (content.id, "draft")


async def test_a_request_delivered_again_changes_nothing(room, requested):
    delivery = requested()
    await room.writing.requested(delivery)
    await room.writing.requested(delivery)
    assert len(await contents(room)) == 1
    assert len(await room.events(generation_pb2.GenerationSucceeded)) == 1
    assert len(await room.events(generation_pb2.GenerationStarted)) == 1


async def test_two_workers_with_one_request_store_one_content(room, requested):
    delivery = requested()
    await asyncio.gather(*(room.writing.requested(delivery) for _ in range(3)))
    assert len(await contents(room)) == 1
    assert len(await room.events(generation_pb2.GenerationSucceeded)) == 1


async def test_a_generation_requested_under_two_events_has_one_content(room, requested):
    first = requested()
    await room.writing.requested(first)
    await room.writing.requested(requested(generation_id=first.message.generation_id))
    assert len(await contents(room)) == 1
    assert len(await room.events(generation_pb2.GenerationSucceeded)) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("refuse", "PROVIDER_REFUSED"),
        ("truncate", "PROVIDER_TRUNCATED"),
        ("invalid_json", "PROVIDER_OUTPUT_INVALID"),
        ("wrong_schema", "PROVIDER_OUTPUT_INVALID"),
        ("empty", "PROVIDER_OUTPUT_INVALID"),
        ("error", "PROVIDER_UNAVAILABLE"),
        ("hangup", "PROVIDER_UNAVAILABLE"),
        ("rate_limit=0", "PROVIDER_UNAVAILABLE"),
    ],
)
async def test_a_lasting_fault_ends_as_failed_with_its_reason(room, requested, fault, reason):
    delivery = requested(title=f"Descale [[offline:text:{fault}]]")
    await room.writing.requested(delivery)
    assert await contents(room) == []
    [failed] = await room.events(generation_pb2.GenerationFailed)
    assert failed.reason == reason
    assert failed.detail
    assert failed.reservation_key == delivery.message.reservation_key
    # What the provider said that its answers cost is known; without an answer there is nothing.
    answered = reason != "PROVIDER_UNAVAILABLE"
    assert (failed.model, failed.prompt_tokens > 0) == (
        ("offline-writer-1", True) if answered else ("", False)
    )
    assert await room.events(generation_pb2.GenerationSucceeded) == []


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_the_log_has_the_words_with_which_a_provider_turned_a_request_down(
    room, requested, caplog
):
    delivery = requested(title="Descale [[offline:text:no_such_fault]]")
    await room.writing.requested(delivery)
    [failed] = await room.events(generation_pb2.GenerationFailed)
    assert failed.reason == "PROVIDER_UNAVAILABLE"
    [line] = [each for each in caplog.records if each.levelname == "WARNING"]
    assert line.generation_id == delivery.message.generation_id
    assert (line.provider_status, line.provider_code) == (400, "unknown_fault")
    assert "no_such_fault" in line.provider_message


@pytest.mark.parametrize(
    "fault", ["error*1", "hangup*2", "rate_limit=0*2", "invalid_json*1", "truncate*1"]
)
async def test_a_passing_fault_is_survived(room, requested, fault):
    await room.writing.requested(requested(title=f"Descale again [[offline:text:{fault}]]"))
    assert len(await contents(room)) == 1
    assert await room.events(generation_pb2.GenerationFailed) == []


async def test_a_failure_delivered_again_is_told_once(room, requested):
    delivery = requested(title="Descale [[offline:text:refuse]]")
    await room.writing.requested(delivery)
    await room.writing.requested(delivery)
    assert len(await room.events(generation_pb2.GenerationFailed)) == 1


async def test_a_generation_that_no_delivery_could_finish_is_failed_once(room, requested):
    delivery = requested()
    await room.writing.give_up(delivery, "died six times")
    await room.writing.give_up(delivery, "died six times")
    await room.writing.requested(delivery)
    [failed] = await room.events(generation_pb2.GenerationFailed)
    assert failed.reason == "INTERNAL"
    assert await contents(room) == []


async def test_terms_are_shared_by_articles_of_one_site(room, requested):
    await room.writing.requested(requested())
    await room.writing.requested(requested())
    first, second = await contents(room)
    assert {term.id for term in first.tags} == {term.id for term in second.tags}
    term = await room.reading.term(room.caller, first.tags[0].id)
    assert term.count == 2


async def test_another_account_sees_nothing_of_it(room, requested):
    await room.writing.requested(requested())
    [content] = await contents(room)
    stranger = Caller(issuer="gateway", principal="user:2", role="owner", account_id="other")
    found, _, total = await room.reading.contents(stranger, first_page(), ALL, full=False)
    assert (found, total) == ([], 0)
    for content_id in (content.id, "no-such-id"):
        with pytest.raises(Refusal) as caught:
            await room.reading.content(stranger, content_id)
        assert caught.value.reason == "NOT_FOUND"
    with pytest.raises(Refusal):
        await room.reading.term(stranger, content.tags[0].id)


async def test_hostile_briefs_leave_only_harmless_html(room, requested):
    payload = '<script>alert(1)</script><img src=x onerror=alert(1)><a href="javascript:x">y</a>'
    await room.writing.requested(
        requested(title=f"Coffee {payload}", description=payload, keywords=payload)
    )
    [content] = await contents(room, full=True)
    assert elements(content.content_html) <= TAGS
    for text in (content.title, content.excerpt, content.meta_description):
        assert elements(text) == set()
    assert clean_html(content.content_html) == content.content_html


def elements(text):
    """Names of the elements in a text; fails at an attribute that could act."""
    found = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.add(tag)
            assert not [name for name, _ in attributes if name.startswith("on")]
            assert not [value for _, value in attributes if "javascript:" in (value or "")]

    Reader(convert_charrefs=False).feed(text)
    return found
