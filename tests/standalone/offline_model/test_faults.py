"""Every kind of misbehaviour as the real client meets it."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import openai
import pytest

from standalone.offline_model.faults import FaultBook, UnknownFaultError, parse


def titled(spec: str) -> str:
    return f"A desk that fails with {spec} [[offline:{spec}]]"


async def streamed(client, request) -> list[openai.types.chat.ChatCompletionChunk]:
    return [chunk async for chunk in await client.chat.completions.create(**request, stream=True)]


async def test_a_rate_limit_names_its_wait_and_passes_after_the_counted_times(client, ask) -> None:
    request = ask(title=titled("rate_limit=7*2"))
    for _ in range(2):
        with pytest.raises(openai.RateLimitError) as refused:
            await client.chat.completions.create(**request)
        assert refused.value.response.headers["retry-after"] == "7"
        assert refused.value.code == "rate_limit_exceeded"
    answer = await client.chat.completions.create(**request)
    assert json.loads(answer.choices[0].message.content)["title"] == request_title(request)


def request_title(request) -> str:
    block = request["messages"][1]["content"]
    return json.loads(block[block.index("{") : block.rindex("}") + 1])["title"]


async def test_the_clients_own_retry_gets_past_a_counted_error(client, ask) -> None:
    request = ask(title=titled("error*1"))
    answer = await client.with_options(max_retries=1).chat.completions.create(**request)
    assert answer.choices[0].finish_reason == "stop"


async def test_an_error_may_be_told_by_header_and_with_another_status(client, ask) -> None:
    with pytest.raises(openai.InternalServerError) as refused:
        await client.chat.completions.create(
            **ask(), extra_headers={"X-Offline-Fault": "error=503"}
        )
    assert refused.value.status_code == 503


async def test_a_stall_never_answers_and_its_client_is_seen_to_leave(
    client, ask, journalled
) -> None:
    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(**ask(title=titled("stall")), timeout=0.2)
    assert (await journalled("fails with stall [["))["state"] == "aborted"


async def test_a_stall_with_seconds_goes_on_afterwards(client, ask) -> None:
    begun = time.monotonic()
    answer = await client.chat.completions.create(**ask(title=titled("stall=0.2")))
    assert time.monotonic() - begun >= 0.2
    assert answer.choices[0].finish_reason == "stop"


async def test_a_stream_hangs_up_in_the_middle(client, ask, journalled) -> None:
    request = ask(title=titled("hangup*1"))
    stream = aiter(await client.chat.completions.create(**request, stream=True))
    begun = [await anext(stream) for _ in range(5)]
    assert all(chunk.choices[0].finish_reason is None for chunk in begun)
    with pytest.raises(openai.APIConnectionError):
        await consumed(stream)
    assert (await journalled("fails with hangup*1"))["state"] == "failed"


async def consumed(stream) -> None:
    async for _ in stream:
        pass


async def test_a_whole_answer_and_a_picture_hang_up_without_a_word(client, ask) -> None:
    with pytest.raises(openai.APIConnectionError):
        await client.chat.completions.create(**ask(title=titled("hangup")))
    with pytest.raises(openai.APIConnectionError):
        await client.images.generate(prompt=titled("hangup"))


async def test_truncated_output_says_so_in_its_finish_reason(client, ask) -> None:
    request = ask(title=titled("truncate"))
    choice = (await client.chat.completions.create(**request)).choices[0]
    assert choice.finish_reason == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(choice.message.content)
    chunks = await streamed(client, request)
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_a_refusal_stands_in_its_own_field(client, ask) -> None:
    request = ask(title=titled("refuse"))
    message = (await client.chat.completions.create(**request)).choices[0].message
    assert message.content is None
    assert "can't help" in message.refusal
    deltas = [chunk.choices[0].delta for chunk in await streamed(client, request)]
    assert "".join(delta.refusal or "" for delta in deltas) == message.refusal
    assert not any(delta.content for delta in deltas)


async def test_invalid_wrong_and_empty_output_end_as_if_all_were_well(client, ask) -> None:
    choices = {}
    for name in ("invalid_json", "wrong_schema", "empty"):
        answer = await client.chat.completions.create(**ask(title=titled(name)))
        choices[name] = answer.choices[0]
    assert {choice.finish_reason for choice in choices.values()} == {"stop"}
    with pytest.raises(json.JSONDecodeError):
        json.loads(choices["invalid_json"].message.content)
    assert "title" not in json.loads(choices["wrong_schema"].message.content)
    assert choices["empty"].message.content == ""


async def test_a_picture_misbehaves_in_its_own_way(client) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.images.generate(prompt=titled("image:refuse"))
    assert refused.value.code == "content_policy_violation"
    with pytest.raises(openai.RateLimitError):
        await client.images.generate(prompt=titled("rate_limit"))
    assert (await client.images.generate(prompt=titled("empty"), size="64x64")).data == []
    wrong = await client.images.generate(prompt=titled("wrong_schema"), size="64x64")
    assert wrong.data[0].b64_json is None
    with pytest.raises(json.JSONDecodeError):
        await client.images.generate(prompt=titled("invalid_json"), size="64x64")


async def test_a_stage_keeps_its_fault_to_itself(client, ask, response_format) -> None:
    title = titled("image:error") + " [[offline:prompts:refuse]]"
    answer = await client.chat.completions.create(**ask(title=title))
    assert json.loads(answer.choices[0].message.content)["title"] == title
    block = json.dumps({"title": title, "headings": [], "excerpt": "", "in_article_count": 1})
    prompts = await client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": f"```article\n{block}\n```"}],
        response_format=response_format("prompts", {"featured_prompt": {"type": "string"}}),
    )
    assert prompts.choices[0].message.refusal
    with pytest.raises(openai.InternalServerError):
        await client.images.generate(prompt=f"A picture for {title}", size="64x64")


async def test_a_slow_stream_is_spread_over_its_time(client, ask) -> None:
    begun = time.monotonic()
    chunks = await streamed(client, ask(title=titled("slow=0.3")))
    assert time.monotonic() - begun >= 0.3
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_client_that_leaves_a_stream_is_seen_to_abort_it(client, ask, journalled) -> None:
    stream = await client.chat.completions.create(**ask(title=titled("slow=60")), stream=True)
    async for _ in stream:
        break
    await stream.close()
    entry = await journalled("fails with slow=60")
    assert (entry["kind"], entry["state"], entry["fault"]) == ("text", "aborted", "slow=60")
    assert entry["ended"] >= entry["started"]


async def test_a_cancelled_picture_is_seen_to_be_aborted(client, journalled) -> None:
    call = asyncio.create_task(client.images.generate(prompt=titled("image:stall")))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call, timeout=0.2)
    assert (await journalled("fails with image:stall"))["state"] == "aborted"


@pytest.mark.parametrize(
    "spec", ["nonsense", "error=200", "slow", "audio:error", "stall=601", "error*", "err or"]
)
async def test_a_misspelt_fault_is_told_at_once(client, ask, spec: str) -> None:
    with pytest.raises(UnknownFaultError):
        parse(spec)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(**ask(title=f"A desk [[offline:{spec}]]"))
    assert refused.value.code == "unknown_fault"


def test_counted_faults_take_turns_and_count_each_prompt_alone() -> None:
    book = FaultBook()
    prompt = "[[offline:rate_limit*1]] and [[offline:error*2]] and [[offline:slow=1]]"
    met = [book.judge("text", prompt, None) for _ in range(4)]
    assert [due.outcome.name if due.outcome else None for due in met] == [
        *("rate_limit", "error", "error", None)
    ]
    assert all(due.slow for due in met)
    assert book.judge("text", prompt + " again", None).is_outcome("rate_limit")


async def test_the_journal_can_be_cleared(client, ask, origin, journalled) -> None:
    await client.chat.completions.create(**ask(title="A desk to be forgotten"))
    assert (await journalled("to be forgotten"))["state"] == "answered"
    async with httpx.AsyncClient(base_url=origin) as http:
        assert (await http.delete("/offline/requests")).status_code == 204
        assert (await http.get("/offline/requests")).json() == []
