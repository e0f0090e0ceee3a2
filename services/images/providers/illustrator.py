"""Asks the model what to draw, and then to draw it; accepts only what can be used."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chassis.model import Answer, Model, Question
from chassis.model_errors import OutputInvalid
from services.images import prompts
from services.images.domain import Article, Drawing, ImageType, Proposal

if TYPE_CHECKING:
    from openai import AsyncOpenAI

SIZES = {ImageType.FEATURED: "1536x1024"}
SIZE_DEFAULT = "1024x1024"
NAME_MAX_CHARS = 128


class Illustrator:
    """Proposes pictures with a text model and draws them with an image model.

    Both methods raise chassis.retry.GivenUp with a PROVIDER reason.
    """

    def __init__(self, model: Model, *, text_model: str, image_model: str) -> None:
        self._model = model
        self._text_model = text_model
        self._image_model = image_model

    async def propose(self, article: Article) -> Proposal:
        """The prompts for all pictures of an article."""
        question = Question(
            instructions=prompts.INSTRUCTIONS,
            material=prompts.material(article),
            name="image_prompts",
            schema=prompts.SCHEMA,
            tokens_max=prompts.TOKENS_MAX,
        )
        return await self._model.ask(self._text_model, question, _proposal)

    async def draw(self, prompt: str, image_type: ImageType) -> Drawing:
        """One picture, checked and encoded anew."""

        async def ask(client: AsyncOpenAI) -> Drawing:
            response = await client.images.generate(
                model=self._image_model,
                prompt=prompt,
                size=SIZES.get(image_type, SIZE_DEFAULT),
                n=1,
            )
            return await _drawing(response, self._image_model, _host(client))

        drawing: Drawing = await self._model.retried(ask)
        return drawing


def _proposal(answer: Answer) -> Proposal:
    return Proposal(
        prompts=prompts.read(answer.document),
        model=answer.model[:NAME_MAX_CHARS],
        prompt_version=prompts.VERSION,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )


async def _drawing(response: Any, asked_model: str, provider: str) -> Drawing:
    # Pillow is loaded with the first picture: the process starts without it.
    from services.images.pictures import UnusablePictureError, picture_from_base64

    first = next(iter(getattr(response, "data", None) or []), None)
    encoded = getattr(first, "b64_json", None)
    if not isinstance(encoded, str):
        # An address instead of bytes is not followed: it expires, and may lead anywhere.
        raise OutputInvalid("the answer holds no picture")
    try:
        picture = await asyncio.to_thread(picture_from_base64, encoded)
    except UnusablePictureError as error:
        raise OutputInvalid(str(error)) from error
    return Drawing(
        picture=picture,
        provider=provider,
        # Answers with pictures do not have to name their model; some servers do.
        model=str(getattr(response, "model", None) or asked_model)[:NAME_MAX_CHARS],
        prompt_tokens=_tokens(response, "input_tokens"),
        completion_tokens=_tokens(response, "output_tokens"),
    )


def _tokens(response: Any, name: str) -> int:
    value = getattr(getattr(response, "usage", None), name, None)
    return value if isinstance(value, int) else 0


def _host(client: AsyncOpenAI) -> str:
    return (urlsplit(str(client.base_url)).hostname or "")[:NAME_MAX_CHARS]
