"""POST /v1/chat/completions: understands a request, writes the answer, spoils it where told to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standalone.offline_model import briefs, wire
from standalone.offline_model.answers import ArticleAnswers, PictureAnswers
from standalone.offline_model.exchange import Exchange
from standalone.offline_model.faults import Misconduct
from standalone.offline_model.schema import (
    Answers,
    Filler,
    property_names,
    without_half_of_required,
)
from standalone.offline_model.wire import ApiError, Json, Reply

MAX_MESSAGES = 200
PROSE_WORDS = 200
REFUSAL = "I'm sorry, but I can't help with that request."
_TRUNCATED_SHARE = 0.6
_HANGUP_SHARE = 3  # a third of the events, then nothing


@dataclass(frozen=True, slots=True)
class ChatJob:
    """One chat request, checked. `schema` is None where plain prose is asked for."""

    kind: str
    title: str
    prompt: str
    user_text: str
    schema: Mapping[str, Any] | None
    max_tokens: int | None
    stream: bool
    include_usage: bool

    async def answer(self, exchange: Exchange, due: Misconduct) -> None:
        """Writes and delivers, whole or streamed."""
        reply = self._shortened(self._spoiled(due))
        usage = wire.text_usage(self.prompt, reply)
        hangs_up = due.is_outcome("hangup")
        slow_s = due.slow.argument if due.slow and due.slow.argument else 0.0
        if self.stream:
            events = wire.stream_events(reply, usage if self.include_usage else None)
            if hangs_up:
                events = events[: max(2, len(events) // _HANGUP_SHARE)]
            await exchange.stream(events, slow_s, completes=not hangs_up)
            return
        await exchange.pause(slow_s)
        if hangs_up:
            await exchange.drop()
        else:
            await exchange.reply(200, wire.completion(reply, usage))

    def _answers(self) -> Answers:
        if self.kind == "prompts":
            return PictureAnswers(briefs.illustrated_from(self.prompt, self.user_text))
        return ArticleAnswers(briefs.brief_from(self.prompt, self.user_text))

    def _spoiled(self, due: Misconduct) -> Reply:
        if due.is_outcome("refuse"):
            return Reply(None, refusal=REFUSAL)
        if due.is_outcome("empty"):
            return Reply("")
        text = self._text(due)
        if due.is_outcome("truncate"):
            return Reply(text[: int(len(text) * _TRUNCATED_SHARE)], finish_reason="length")
        if due.is_outcome("invalid_json"):
            return Reply("Here is what you asked for:\n\n" + text[: len(text) // 2])
        return Reply(text)

    def _text(self, due: Misconduct) -> str:
        if self.schema is None:
            brief = briefs.brief_from(self.prompt, self.user_text)
            if (
                briefs.fenced_block(self.prompt, "brief") is None
                and brief.word_count == briefs.DEFAULT_WORDS
            ):
                brief = briefs.Brief(title=brief.title, word_count=PROSE_WORDS)
            return ArticleAnswers(brief).article.prose
        value = Filler(self.schema, self._answers()).build()
        if due.is_outcome("wrong_schema"):
            value = without_half_of_required(value, self.schema)
        return json.dumps(value, ensure_ascii=False)

    def _shortened(self, reply: Reply) -> Reply:
        if (
            self.max_tokens is None
            or reply.text is None
            or wire.tokens_in(reply.text) <= self.max_tokens
        ):
            return reply
        return Reply(reply.text[: self.max_tokens * wire.CHARS_PER_TOKEN], finish_reason="length")


def chat_job(body: Json) -> ChatJob:
    """Raises ApiError for a request that a real provider would refuse."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or len(messages) > MAX_MESSAGES:
        raise ApiError(
            400, f"'messages' must be a list of 1 to {MAX_MESSAGES} messages.", param="messages"
        )
    if not all(isinstance(m, dict) and isinstance(m.get("role"), str) for m in messages):
        raise ApiError(400, "Every message must be an object with a 'role'.", param="messages")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise ApiError(400, "You must provide a model parameter.", param="model")
    if body.get("n") not in (None, 1):
        raise ApiError(400, "Only one choice is supported.", param="n")
    schema = _schema_in(body.get("response_format"))
    prompt = briefs.message_text(messages)
    user_text = briefs.message_text([m for m in messages if m["role"] == "user"])
    kind, title = _kind_and_title(prompt, user_text, schema)
    options = body.get("stream_options")
    return ChatJob(
        kind=kind,
        title=title,
        prompt=prompt,
        user_text=user_text,
        schema=schema,
        max_tokens=_max_tokens(body),
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _schema_in(response_format: object) -> Mapping[str, Any] | None:
    if response_format is None or not isinstance(response_format, dict):
        return None
    if response_format.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    if response_format.get("type") != "json_schema":
        return None
    holder = response_format.get("json_schema")
    schema = holder.get("schema") if isinstance(holder, dict) else None
    if not isinstance(schema, dict):
        raise ApiError(400, "'json_schema.schema' must be an object.", param="response_format")
    return schema


def _kind_and_title(
    prompt: str, user_text: str, schema: Mapping[str, Any] | None
) -> tuple[str, str]:
    names = property_names(schema) if schema is not None else set()
    if briefs.fenced_block(prompt, "brief") is not None:
        return "text", briefs.brief_from(prompt, user_text).title
    about_pictures = any(
        "prompt" in name or name.startswith(("featured", "in_article")) for name in names
    )
    if briefs.fenced_block(prompt, "article") is not None or about_pictures:
        return "prompts", briefs.illustrated_from(prompt, user_text).title
    kind = "text" if names & {"content_html", "content", "body", "html"} else "other"
    return kind, briefs.brief_from(prompt, user_text).title


def _max_tokens(body: Json) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ApiError(400, f"'{name}' must be a positive integer.", param=name)
        return value
    return None
