"""Chat completions as the real client sees them when nothing goes wrong."""

from __future__ import annotations

import json
import re

import httpx
import openai
import pytest


def words_of(content_html: str) -> int:
    return len(re.sub(r"<[^>]+>", " ", content_html).split())


async def test_an_article_is_answered_as_its_schema_asks(client, ask) -> None:
    answer = await client.chat.completions.create(**ask())
    assert answer.model == "offline-writer-1"
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.refusal) == ("stop", None)
    article = json.loads(choice.message.content)
    assert list(article) == list(ask()["response_format"]["json_schema"]["schema"]["properties"])
    assert article["title"] == "How to Choose a Standing Desk for a Small Home Office"
    assert article["primary_keyword"] == "standing desk"
    assert article["secondary_keywords"] == ["small home office desk", "desk height"]
    assert article["categories"] == ["Desks", "Home office furniture"]
    assert len(article["meta_title"]) <= 70
    assert len(article["meta_description"]) <= 160
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens == -(-len(choice.message.content) // 4)


@pytest.mark.parametrize("words", [300, 1000, 3000])
async def test_an_article_comes_out_at_about_the_asked_length(client, ask, words: int) -> None:
    answer = await client.chat.completions.create(**ask(word_count=words))
    article = json.loads(answer.choices[0].message.content)
    assert words_of(article["content_html"]) == pytest.approx(words, rel=0.1)


async def test_a_stream_says_the_same_as_the_whole_answer_and_ends_with_usage(client, ask) -> None:
    whole = await client.chat.completions.create(**ask())
    stream = await client.chat.completions.create(
        **ask(), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    texts = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert "".join(texts) == whole.choices[0].message.content
    assert 5 < sum(map(len, texts)) / len(texts) < 60
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_the_same_request_is_answered_with_the_same_bytes(client, ask) -> None:
    def frozen(answer: openai.types.chat.ChatCompletion) -> dict:
        return answer.model_dump(exclude={"id", "created"})

    first = await client.chat.completions.create(**ask())
    second = await client.chat.completions.create(**ask())
    assert first.id != second.id
    assert frozen(first) == frozen(second)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_text_longer_than_the_token_limit_is_cut(client, ask, name: str) -> None:
    answer = await client.chat.completions.create(**ask(), **{name: 100})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 100
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.choices[0].message.content)


async def test_prompts_repeat_the_title_and_follow_the_headings(client, response_format) -> None:
    string = {"type": "string"}
    picture = {
        "type": "object",
        "properties": dict.fromkeys(["prompt", "alt_text", "caption"], string),
    }
    article = {
        "title": "Quiet desks [[offline:image:error*1]]",
        "headings": ["Why height matters", "Cables", "Conclusion: your next step"],
        "excerpt": "",
        "in_article_count": 2,
    }
    answer = await client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": f"```article\n{json.dumps(article)}\n```"}],
        response_format=response_format(
            "prompts",
            {
                "featured_prompt": string,
                "in_article_prompts": {"type": "array", "items": string},
                "featured": picture,
                "in_article": {"type": "array", "items": picture},
            },
        ),
    )
    found = json.loads(answer.choices[0].message.content)
    prompts = [found["featured_prompt"], *found["in_article_prompts"]]
    assert len(prompts) == 3
    assert all("Quiet desks [[offline:image:error*1]]" in prompt for prompt in prompts)
    assert "Why height matters" in prompts[1]
    assert "Cables" in prompts[2]
    assert [found["featured"]["prompt"], *(p["prompt"] for p in found["in_article"])] == prompts
    assert "[[" not in found["featured"]["alt_text"] + found["in_article"][0]["caption"]


async def test_an_unknown_schema_is_filled_by_its_types(client, response_format) -> None:
    properties = {
        "mood": {"type": "string", "enum": ["calm", "loud"]},
        "note": {"type": ["string", "null"], "maxLength": 20},
        "count": {"type": "integer", "minimum": 3},
        "good": {"type": "boolean"},
        "points": {"type": "array", "items": {"type": "string"}, "minItems": 4},
        "inner": {"anyOf": [{"type": "null"}, {"$ref": "#/properties/good"}]},
    }
    answer = await client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": [{"type": "text", "text": "Quiet desks"}]}],
        response_format=response_format("other", properties),
    )
    found = json.loads(answer.choices[0].message.content)
    assert (found["mood"], found["count"], found["good"], found["inner"]) == ("calm", 3, True, True)
    assert 0 < len(found["note"]) <= 20
    assert len(found["points"]) == 4


async def test_without_a_schema_the_answer_is_plain_prose(client) -> None:
    answer = await client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Cold brew coffee\nin 400 words please"}]
    )
    text = answer.choices[0].message.content
    assert "cold brew coffee" in text.lower()
    assert "<" not in text


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": []},
        {"messages": ["hello"]},
        {"model": ""},
        {"n": 2},
        {"max_tokens": 0},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
    ],
)
async def test_a_wrong_request_is_refused_by_field(client, ask, changes) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(**(ask() | changes))
    assert refused.value.type == "invalid_request_error"
    assert refused.value.param in (*changes, "response_format")


async def test_a_request_without_a_key_is_refused(origin) -> None:
    async with httpx.AsyncClient(base_url=origin) as http:
        answers = [await http.get("/v1/models"), await http.post("/v1/chat/completions", json={})]
        assert [answer.status_code for answer in answers] == [401, 401]
        assert set(answers[0].json()["error"]) == {"message", "type", "param", "code"}
        assert (await http.get("/healthz")).status_code == 200


async def test_broken_oversized_and_misdirected_requests_have_an_error_in_the_same_shape(
    origin,
) -> None:
    key = {"Authorization": "Bearer any"}
    async with httpx.AsyncClient(base_url=origin, headers=key) as http:
        answers = [
            await http.post("/v1/chat/completions", content=b"{"),
            await http.post("/v1/chat/completions", content=b" " * (4 * 1024 * 1024 + 1)),
            await http.get("/v1/nothing"),
            await http.get("/v1/chat/completions"),
        ]
    assert [answer.status_code for answer in answers] == [400, 413, 404, 405]
    assert all("message" in answer.json()["error"] for answer in answers)


async def test_models_are_listed(client) -> None:
    assert [model.id async for model in client.models.list()] == ["offline-writer-1"]
