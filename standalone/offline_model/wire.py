"""OpenAI's wire format: errors, completions, chunks and token counts."""

from __future__ import annotations

import json
import math
import time
import uuid
from dataclasses import dataclass
from typing import Any

MODEL = "offline-writer-1"
CHARS_PER_TOKEN = 4
# A provider sends a few tokens at a time, never the same number; these sizes in characters repeat.
_PIECE_CHARS = (12, 31, 18, 42, 9, 27, 36, 15)

Json = dict[str, Any]


class ApiError(Exception):
    """An answer that is an error in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: Json = {
            "error": {"message": message, "type": kind, "param": param, "code": code}
        }


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says: a text or a refusal, and why it stopped."""

    text: str | None
    refusal: str | None = None
    finish_reason: str = "stop"

    @property
    def spoken(self) -> str:
        """Whatever was said, for counting."""
        return self.text or self.refusal or ""


def tokens_in(text: str) -> int:
    """The one estimate used for every count: four characters a token."""
    return math.ceil(len(text) / CHARS_PER_TOKEN)


def text_usage(prompt: str, reply: Reply) -> Json:
    """Tokens of a chat, in, out and together."""
    prompt_tokens, completion_tokens = tokens_in(prompt), tokens_in(reply.spoken)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def new_id(prefix: str) -> str:
    """The one part of an answer, beside its time, that differs each time."""
    return f"{prefix}-{uuid.uuid4().hex}"


def now_s() -> int:
    """Seconds since the epoch."""
    return int(time.time())


def completion(reply: Reply, usage: Json) -> Json:
    """A whole answer."""
    message = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": reply.finish_reason,
    }
    return {
        "id": new_id("chatcmpl"),
        "object": "chat.completion",
        "created": now_s(),
        "model": MODEL,
        "choices": [choice],
        "usage": usage,
    }


def stream_events(reply: Reply, usage: Json | None) -> list[bytes]:
    """Every event of a streamed answer in order; with `usage`, a last chunk carries it."""
    head: Json = {
        "id": new_id("chatcmpl"),
        "object": "chat.completion.chunk",
        "created": now_s(),
        "model": MODEL,
    }
    if usage is not None:
        head["usage"] = None
    field = "content" if reply.refusal is None else "refusal"
    deltas: list[Json] = [{"role": "assistant", "content": "" if reply.refusal is None else None}]
    deltas += [{field: piece} for piece in pieces(reply.spoken)]
    chunks = [{**head, "choices": [_choice(delta, None)]} for delta in deltas]
    chunks.append({**head, "choices": [_choice({}, reply.finish_reason)]})
    if usage is not None:
        chunks.append({**head, "choices": [], "usage": usage})
    return [*(event(json.dumps(chunk, ensure_ascii=False)) for chunk in chunks), event("[DONE]")]


def pieces(text: str) -> list[str]:
    """The text in the portions in which it is streamed."""
    found, start, turn = [], 0, 0
    while start < len(text):
        end = start + _PIECE_CHARS[turn % len(_PIECE_CHARS)]
        found.append(text[start:end])
        start, turn = end, turn + 1
    return found


def event(data: str) -> bytes:
    """One server-sent event."""
    return f"data: {data}\n\n".encode("utf-8", "replace")


def _choice(delta: Json, finish_reason: str | None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
