"""Asks a model that speaks the OpenAI wire format; nobody here knows who answers.

One client, one reading of its errors, one policy for asking again. The client's own retries
are off, so that attempts, waits and time have one set of bounds.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from chassis.model_effort import effort_from, effort_of
from chassis.model_errors import OutputInvalid, Refused, StreamBroken, Truncated, classify
from chassis.retry import GivenUp, RetryPolicy, retried
from chassis.settings import Settings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_T = TypeVar("_T")

ATTEMPTS_MAX = 4
"""When WRITER_MODEL_ATTEMPTS sets nothing else."""
BUSY_ATTEMPTS_MAX = 8
"""When WRITER_MODEL_BUSY_ATTEMPTS sets nothing else."""
TIMEOUT_S = 120.0
"""For one attempt, when WRITER_MODEL_TIMEOUT_S sets nothing else."""
TIMEOUT_MIN_S = 0.1
FIRST_DELAY_S = 2.0
"""Upper limit of the first wait, when WRITER_MODEL_FIRST_DELAY_S sets nothing else.

With the bounds beside it a busy provider is given one to two minutes: limits are by the minute.
"""
DELAY_MAX_S = 30.0
TOTAL_S = 600.0
ANSWER_CHARS_MAX = 400_000
"""More than this is not an answer to anything that we ask."""
TOKENS_GROWTH = 2
"""A cut answer is asked for once more with this many times the room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A structured answer and what it took."""

    document: dict[str, Any]
    model: str
    """As the provider named it."""
    prompt_tokens: int
    completion_tokens: int


@dataclass(slots=True)
class Spent:
    """What all attempts of one question took together."""

    model: str = ""
    """As the provider named it; empty when no attempt got as far."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Unanswered(GivenUp):
    """A question was given up; what its attempts cost is known as far as the provider said."""

    def __init__(self, failure: GivenUp, spent: Spent) -> None:
        super().__init__(failure.reason, failure.detail, failure.attempts)
        self.spent = spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a model is asked: instructions, material, and the shape of the answer."""

    instructions: str
    material: str
    name: str
    schema: dict[str, Any]
    tokens_max: int


class Model:
    """One provider. The client is imported on first use: it costs 0.9 s and 45 MB."""

    def __init__(
        self, *, base_url: str, api_key: str, policy: RetryPolicy, effort: str = ""
    ) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._policy = policy
        self._effort = effort
        self._client: AsyncOpenAI | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Model:
        """The provider that OPENAI_BASE_URL and OPENAI_API_KEY name. Raises SettingsError."""
        return cls(
            base_url=settings.extra("OPENAI_BASE_URL"),
            api_key=settings.extra("OPENAI_API_KEY"),
            policy=policy_from(settings),
            effort=effort_from(settings),
        )

    async def client(self) -> AsyncOpenAI:
        """The provider's client, made once."""
        if self._client is None:
            # In a thread, because the loop must go on: heartbeats, health, other calls.
            made = await asyncio.to_thread(self._make_client)
            self._client = self._client or made
        return self._client

    def _make_client(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        return AsyncOpenAI(
            api_key=self._api_key or "none",
            base_url=self._base_url or None,
            max_retries=0,
            timeout=self._policy.attempt_s,
        )

    async def ask(self, model: str, question: Question, read: Callable[[Answer], _T]) -> _T:
        """The answer, read by `read`, which raises OutputInvalid for one of no use.

        Raises Unanswered with one of the PROVIDER reasons. Cancelling aborts the provider's
        call. An answer that is cut is asked for once more with more room.
        """
        tokens_max = question.tokens_max
        spent = Spent()
        # Before the first attempt: making it takes time that is not the provider's.
        await self.client()

        async def attempt() -> _T:
            nonlocal tokens_max
            try:
                return read(await self._stream(model, question, tokens_max, spent))
            except Truncated:
                if tokens_max > question.tokens_max:
                    raise
                tokens_max *= TOKENS_GROWTH
                return read(await self._stream(model, question, tokens_max, spent))

        try:
            return await retried(attempt, classify, self._policy)
        except GivenUp as failure:
            raise Unanswered(failure, spent) from failure

    async def retried(self, operation: Callable[[AsyncOpenAI], Any]) -> Any:
        """Runs any other operation of the client under the same policy. Raises GivenUp."""
        client = await self.client()
        return await retried(lambda: operation(client), classify, self._policy)

    async def close(self) -> None:
        """Closes the client's connections."""
        if self._client is not None:
            await self._client.close()

    async def _stream(
        self, model: str, question: Question, tokens_max: int, spent: Spent
    ) -> Answer:
        client = await self.client()
        parts: list[str] = []
        refusal, finish, named, usage = "", None, model, (0, 0)
        request = _request(model, question, tokens_max, effort_of(model, self._effort))
        stream: Any = await client.chat.completions.create(**request)
        chars = 0
        async with stream:
            async for chunk in stream:
                named = chunk.model or named
                if chunk.usage is not None:
                    usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                for choice in chunk.choices:
                    parts.append(choice.delta.content or "")
                    chars += len(parts[-1])
                    refusal += choice.delta.refusal or ""
                    finish = choice.finish_reason or finish
                if chars > ANSWER_CHARS_MAX:
                    raise OutputInvalid("the answer does not end")
        spent.model = named
        spent.prompt_tokens += usage[0]
        spent.completion_tokens += usage[1]
        # Why it ended comes before what it says: a cut text can look like a whole one.
        if refusal or finish == "content_filter":
            raise Refused(refusal[:300] or "the provider's filter stopped the answer")
        if finish == "length":
            raise Truncated(f"cut at {tokens_max} tokens")
        if finish is None:
            raise StreamBroken("the answer broke off")
        return Answer(
            document=_document("".join(parts)),
            model=named,
            prompt_tokens=usage[0],
            completion_tokens=usage[1],
        )


def policy_from(settings: Settings) -> RetryPolicy:
    """How often, how long and after which waits a provider is asked. Raises SettingsError."""
    return RetryPolicy(
        attempts_max=int(settings.number("WRITER_MODEL_ATTEMPTS", ATTEMPTS_MAX, minimum=1)),
        busy_attempts_max=int(
            settings.number("WRITER_MODEL_BUSY_ATTEMPTS", BUSY_ATTEMPTS_MAX, minimum=1)
        ),
        attempt_s=settings.number("WRITER_MODEL_TIMEOUT_S", TIMEOUT_S, minimum=TIMEOUT_MIN_S),
        total_s=TOTAL_S,
        first_delay_s=settings.number("WRITER_MODEL_FIRST_DELAY_S", FIRST_DELAY_S, minimum=0),
        delay_max_s=DELAY_MAX_S,
    )


def _request(model: str, question: Question, tokens_max: int, effort: str) -> dict[str, Any]:
    """The call's arguments: streamed, so that cancelling it stops the provider, with usage."""
    reasoning = {"reasoning_effort": effort} if effort else {}
    schema = {"name": question.name, "schema": question.schema, "strict": True}
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": question.instructions},
            {"role": "user", "content": question.material},
        ],
        "response_format": {"type": "json_schema", "json_schema": schema},
        "max_completion_tokens": tokens_max,
        "stream": True,
        "stream_options": {"include_usage": True},
        **reasoning,
    }


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
        texts = "".join(_texts(document)).encode()
    except (ValueError, RecursionError) as error:
        raise OutputInvalid("the answer is not JSON") from error
    if not isinstance(document, dict):
        raise OutputInvalid("the answer is not an object")
    if b"\0" in texts:
        # No database of ours could store it; half a surrogate pair has failed above.
        raise OutputInvalid("the answer holds NUL")
    return document


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
