"""POST /v1/images/generations: draws a PNG that shows its prompt."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import dataclass

from standalone.offline_model import wire
from standalone.offline_model.exchange import Exchange
from standalone.offline_model.faults import Misconduct, without_markers
from standalone.offline_model.wire import ApiError, Json

MAX_PICTURES = 4
MIN_SIDE_PX = 16
MAX_SIDE_PX = 2048
MAX_PROMPT_CHARS = 32_000
DEFAULT_SIZE = "1024x1024"
# Drawing is CPU work: more at once would only make each of them later.
MAX_DRAWN_AT_ONCE = 2
_PIXELS_PER_TOKEN = 1024


@dataclass(frozen=True, slots=True)
class PictureJob:
    """One picture request, checked."""

    prompt: str
    count: int
    width_px: int
    height_px: int
    slots: asyncio.Semaphore
    kind: str = "image"

    @property
    def title(self) -> str:
        """The prompt, which repeats the article's title."""
        return self.prompt

    async def answer(self, exchange: Exchange, due: Misconduct) -> None:
        """Draws off the event loop and delivers."""
        if due.slow and due.slow.argument:
            await exchange.pause(due.slow.argument)
        if due.is_outcome("hangup"):
            await exchange.drop()
        elif due.is_outcome("refuse"):
            await exchange.refuse(_policy_refusal())
        elif due.is_outcome("empty"):
            await exchange.reply(200, self._body([]))
        else:
            await self._draw(exchange, due)

    async def _draw(self, exchange: Exchange, due: Misconduct) -> None:
        async with self.slots:
            pictures = [
                await asyncio.to_thread(self._png, variant) for variant in range(self.count)
            ]
        if due.is_outcome("truncate"):
            pictures = [png[: len(png) // 2] for png in pictures]
        data: list[Json] = [
            {
                "b64_json": base64.b64encode(png).decode(),
                "revised_prompt": without_markers(self.prompt),
            }
            for png in pictures
        ]
        if due.is_outcome("wrong_schema"):
            data = [{"revised_prompt": item["revised_prompt"]} for item in data]
        body = json.dumps(self._body(data)).encode()
        if due.is_outcome("invalid_json"):
            body = body[: len(body) // 2]
        await exchange.reply_bytes(200, body)

    def _png(self, variant: int) -> bytes:
        # Pillow takes time to import and is not needed before the first picture.
        from standalone.offline_model.drawing import draw_png

        return draw_png(without_markers(self.prompt), self.width_px, self.height_px, variant)

    def _body(self, data: list[Json]) -> Json:
        text_tokens = wire.tokens_in(self.prompt)
        image_tokens = len(data) * max(1, self.width_px * self.height_px // _PIXELS_PER_TOKEN)
        usage = {
            "input_tokens": text_tokens,
            "input_tokens_details": {"text_tokens": text_tokens, "image_tokens": 0},
            "output_tokens": image_tokens,
            "total_tokens": text_tokens + image_tokens,
        }
        return {"created": wire.now_s(), "model": wire.MODEL, "data": data, "usage": usage}


class PictureDesk:
    """Understands picture requests; at most a few are drawn at once."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(MAX_DRAWN_AT_ONCE)

    def understand(self, body: Json) -> PictureJob:
        """Raises ApiError for a request that a real provider would refuse."""
        prompt = body.get("prompt")
        if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > MAX_PROMPT_CHARS:
            raise ApiError(
                400, f"'prompt' must be 1 to {MAX_PROMPT_CHARS} characters.", param="prompt"
            )
        count = 1 if body.get("n") is None else body["n"]
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_PICTURES:
            raise ApiError(400, f"'n' must be between 1 and {MAX_PICTURES}.", param="n")
        if body.get("response_format") not in (None, "b64_json"):
            raise ApiError(400, "Only 'b64_json' is supported.", param="response_format")
        if body.get("output_format") not in (None, "png"):
            raise ApiError(400, "Only 'png' is supported.", param="output_format")
        width_px, height_px = _size(body.get("size"))
        return PictureJob(prompt, count, width_px, height_px, self._slots)


def _policy_refusal() -> ApiError:
    return ApiError(
        400,
        "Your request was rejected as a result of our safety system.",
        kind="image_generation_user_error",
        code="content_policy_violation",
    )


def _size(size: object) -> tuple[int, int]:
    text = DEFAULT_SIZE if size in (None, "auto") else str(size)
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    sides = tuple(map(int, match.groups())) if match else (0, 0)
    if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in sides):
        raise ApiError(
            400,
            f"Invalid size '{text[:40]}': WIDTHxHEIGHT, each {MIN_SIDE_PX} to {MAX_SIDE_PX}.",
            param="size",
            code="invalid_size",
        )
    return sides[0], sides[1]
