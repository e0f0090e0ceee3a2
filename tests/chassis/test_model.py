"""The one client for models: what each answer of a provider comes to, over real HTTP."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from support.provider import HANG_UP, STALL, chunks, error, provider

from chassis import model as module
from chassis.model import Model, Question
from chassis.model_errors import OutputInvalid, log_fields
from chassis.retry import GivenUp, RetryPolicy

ATTEMPTS, BUSY = 3, 5
QUICK = RetryPolicy(
    attempts_max=ATTEMPTS,
    busy_attempts_max=BUSY,
    attempt_s=5,
    total_s=20,
    first_delay_s=0.001,
    delay_max_s=0.002,
)
QUESTION = Question(
    instructions="Write.", material="A brief.", name="article", schema={}, tokens_max=100
)
ARTICLE = {"title": "Ä 😀", "tags": ["a"]}
GOOD = chunks(json.dumps(ARTICLE))
LATER = format_datetime(datetime(2999, 1, 1, tzinfo=UTC), usegmt=True)


@asynccontextmanager
async def asking(*answers, policy=QUICK, effort=""):
    async with provider(*answers) as asked:
        model = Model(base_url=asked.url, api_key="key", policy=policy, effort=effort)
        try:
            yield asked, lambda read=lambda answer: answer: model.ask("a-model", QUESTION, read)
        finally:
            await model.close()


async def test_an_answer_is_put_together_from_its_pieces():
    text = json.dumps(ARTICLE)
    async with asking(chunks(text[:5], text[5:9], text[9:])) as (asked, ask):
        answer = await ask()
    assert answer.document == ARTICLE
    assert (answer.model, answer.prompt_tokens, answer.completion_tokens) == ("real-model", 7, 11)
    [request] = asked.asked
    assert request["stream"] is True
    assert request["max_completion_tokens"] == 100
    assert [message["role"] for message in request["messages"]] == ["system", "user"]


async def test_an_effort_is_sent_when_there_is_one():
    async with asking(GOOD, effort="high") as (thoughtful, ask):
        await ask()
    async with asking(GOOD) as (usual, ask):
        await ask()
    assert thoughtful.asked[0]["reasoning_effort"] == "high"
    assert "reasoning_effort" not in usual.asked[0]


@pytest.mark.parametrize(
    ("answer", "reason", "requests"),
    [
        pytest.param(chunks("", refusal="I will not."), "PROVIDER_REFUSED", 1, id="refusal"),
        pytest.param(chunks("{", finish="content_filter"), "PROVIDER_REFUSED", 1, id="filter"),
        pytest.param(error(400, "content_policy_violation"), "PROVIDER_REFUSED", 1, id="policy"),
        pytest.param(chunks("{}", finish="length"), "PROVIDER_TRUNCATED", 2, id="cut twice"),
        pytest.param(chunks("not JSON"), "PROVIDER_OUTPUT_INVALID", ATTEMPTS, id="no JSON"),
        pytest.param(chunks("[1]"), "PROVIDER_OUTPUT_INVALID", ATTEMPTS, id="no object"),
        pytest.param(chunks("[" * 5000), "PROVIDER_OUTPUT_INVALID", ATTEMPTS, id="too deep"),
        pytest.param(
            chunks('{"a": {"b": ["\\u0000"]}}'), "PROVIDER_OUTPUT_INVALID", ATTEMPTS, id="NUL"
        ),
        pytest.param(
            chunks('{"a": "\\ud800"}'), "PROVIDER_OUTPUT_INVALID", ATTEMPTS, id="half a character"
        ),
        pytest.param(chunks(""), "PROVIDER_OUTPUT_INVALID", ATTEMPTS, id="empty"),
        pytest.param(chunks("{}", finish=None), "PROVIDER_UNAVAILABLE", ATTEMPTS, id="broken off"),
        pytest.param(GOOD[:1], "PROVIDER_UNAVAILABLE", ATTEMPTS, id="hung up in the middle"),
        pytest.param(HANG_UP, "PROVIDER_UNAVAILABLE", ATTEMPTS, id="hung up"),
        pytest.param(error(500), "PROVIDER_UNAVAILABLE", BUSY, id="500"),
        pytest.param(error(429), "PROVIDER_UNAVAILABLE", BUSY, id="429"),
        pytest.param(error(429, "insufficient_quota"), "PROVIDER_UNAVAILABLE", 1, id="no quota"),
        pytest.param(error(401), "PROVIDER_UNAVAILABLE", 1, id="401"),
        pytest.param(error(404), "PROVIDER_UNAVAILABLE", 1, id="404"),
        pytest.param(error(400, kind="invalid_request_error"), "PROVIDER_UNAVAILABLE", 1, id="400"),
        pytest.param(
            error(400, "unsupported_parameter"), "PROVIDER_UNAVAILABLE", 1, id="unsupported"
        ),
        pytest.param(error(422), "PROVIDER_UNAVAILABLE", 1, id="422"),
        pytest.param(error(400, "content_filter"), "PROVIDER_REFUSED", 1, id="a filter before"),
        pytest.param(
            error(429, retry_after="3600"), "PROVIDER_UNAVAILABLE", 1, id="429, long wait"
        ),
        pytest.param(
            error(503, retry_after="3600"), "PROVIDER_UNAVAILABLE", 1, id="503, long wait"
        ),
        pytest.param(
            error(503, retry_after=LATER), "PROVIDER_UNAVAILABLE", 1, id="503, until then"
        ),
        pytest.param(error(503, retry_after="soon"), "PROVIDER_UNAVAILABLE", BUSY, id="503, odd"),
    ],
)
async def test_what_is_no_answer_ends_with_its_reason(answer, reason, requests):
    async with asking(answer) as (asked, ask):
        with pytest.raises(GivenUp) as caught:
            await ask()
        assert (caught.value.reason, len(asked.asked)) == (reason, requests)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(chunks("not JSON"), id="no JSON"),
        pytest.param(error(429, retry_after="0"), id="429"),
        pytest.param(error(503), id="503"),
        pytest.param(HANG_UP, id="hung up"),
        pytest.param(GOOD[:1], id="hung up in the middle"),
        pytest.param(chunks('{"a":', finish="length"), id="cut"),
    ],
)
async def test_what_may_pass_is_asked_again(first):
    async with asking(first, GOOD) as (asked, ask):
        assert (await ask()).document == ARTICLE
        assert len(asked.asked) == 2


async def test_a_cut_answer_is_asked_for_with_more_room():
    async with asking(chunks("{", finish="length"), GOOD) as (asked, ask):
        await ask()
    assert [request["max_completion_tokens"] for request in asked.asked] == [100, 200]


async def test_an_answer_of_no_use_is_asked_for_again():
    def read(answer):
        if "title" not in answer.document:
            raise OutputInvalid("there is no title")
        return answer.document["title"]

    async with asking(chunks("{}"), GOOD) as (asked, ask):
        assert await ask(read) == ARTICLE["title"]
        assert len(asked.asked) == 2


async def test_text_about_nul_is_no_nul():
    async with asking(chunks('{"a": "\\\\u0000"}')) as (_, ask):
        assert (await ask()).document == {"a": "\\u0000"}


async def test_an_answer_that_does_not_end_is_left(monkeypatch):
    monkeypatch.setattr(module, "ANSWER_CHARS_MAX", 100)
    async with asking(chunks(*["x" * 60] * 3)) as (_, ask):
        with pytest.raises(GivenUp) as caught:
            await ask()
    assert caught.value.reason == "PROVIDER_OUTPUT_INVALID"


async def failed(answer):
    """How a question ends that is answered with this."""
    async with asking(answer) as (_, ask):
        with pytest.raises(GivenUp) as caught:
            await ask()
    return caught.value


async def test_a_refused_parameter_is_told_to_users_as_our_fault_and_named_in_the_log():
    sentence = "Unsupported parameter: 'stream_options'."
    failure = await failed(error(400, "unsupported_parameter", message=sentence))
    assert "set up" in failure.detail
    assert "stream_options" not in failure.detail
    assert log_fields(failure) == {
        "reason": "PROVIDER_UNAVAILABLE",
        "detail": failure.detail,
        "provider_status": 400,
        "provider_code": "unsupported_parameter",
        "provider_message": sentence,
    }


async def test_what_a_provider_says_at_length_is_cut_in_the_log():
    fields = log_fields(await failed(error(400, message="no " * 10_000, kind="too_long")))
    assert (fields["provider_code"], len(fields["provider_message"])) == ("too_long", 500)


async def test_a_refused_key_is_not_repeated_in_the_log():
    fields = log_fields(await failed(error(401, "invalid_api_key", message="no such key: key")))
    assert (fields["provider_status"], fields["provider_code"]) == (401, "invalid_api_key")
    assert "provider_message" not in fields


async def test_a_provider_that_says_nothing_has_no_words_in_the_log():
    assert "provider_status" not in log_fields(await failed(HANG_UP))
    assert set(log_fields(await failed(chunks("{}", finish=None)))) == {"reason", "detail"}


async def test_an_attempt_has_its_time():
    policy = RetryPolicy(attempts_max=2, attempt_s=0.2, first_delay_s=0.001)
    async with asking(STALL, policy=policy) as (asked, ask):
        with pytest.raises(GivenUp) as caught:
            await asyncio.wait_for(ask(), 10)
        assert (caught.value.reason, len(asked.asked)) == ("PROVIDER_UNAVAILABLE", 2)


async def test_a_cancel_reaches_the_provider():
    async with asking(STALL) as (asked, ask):
        running = asyncio.create_task(ask())
        async with asyncio.timeout(10):
            while not asked.asked:
                await asyncio.sleep(0.01)
            running.cancel()
            await asked.gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_our_own_mistakes_are_not_the_providers():
    def read(_answer):
        raise LookupError("a bug of ours")

    async with asking(GOOD) as (asked, ask):
        with pytest.raises(LookupError):
            await ask(read)
        assert len(asked.asked) == 1
