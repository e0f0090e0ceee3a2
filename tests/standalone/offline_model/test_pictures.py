"""Pictures: real PNGs of the asked size, the same for the same prompt."""

from __future__ import annotations

import base64
import io

import openai
import pytest
from PIL import Image

from standalone.offline_model.drawing import draw_png


def opened(b64_json: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(b64_json)))
    image.load()
    return image


@pytest.mark.parametrize("size", ["1024x1024", "1536x1024", "64x48", "2048x16"])
async def test_a_picture_is_a_png_of_the_asked_size(client, size: str) -> None:
    answer = await client.images.generate(model="any", prompt="A calm desk", size=size)
    image = opened(answer.data[0].b64_json)
    assert image.format == "PNG"
    assert f"{image.width}x{image.height}" == size
    assert image.info["Software"] == "offline model"
    assert answer.data[0].revised_prompt == "A calm desk"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


async def test_several_pictures_of_one_prompt_differ(client) -> None:
    answer = await client.images.generate(
        prompt="A calm desk", n=3, size="128x128", response_format="b64_json"
    )
    assert len({item.b64_json for item in answer.data}) == 3


def test_the_same_prompt_gives_the_same_bytes_and_another_one_others() -> None:
    assert draw_png("A desk", 200, 100) == draw_png("A desk", 200, 100)
    assert draw_png("A desk", 200, 100) != draw_png("A chair", 200, 100)


def test_the_prompt_is_drawn_readably_on_a_dark_panel() -> None:
    image = Image.open(io.BytesIO(draw_png("A calm desk by the window", 512, 512)))
    panel = image.crop((40, 380, 472, 470)).convert("L")
    low, high = panel.getextrema()
    assert low < 80
    assert high > 220


@pytest.mark.parametrize(
    "prompt", ["w" * 5_000, "word " * 5_000, "東京の静かなカフェ", "\ud800", "a\0b"]
)
def test_any_prompt_can_be_drawn_at_the_smallest_and_an_ordinary_size(prompt: str) -> None:
    for side_px in (16, 256):
        assert Image.open(io.BytesIO(draw_png(prompt, side_px, side_px))).size == (side_px, side_px)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"size": "4096x4096"}, "size"),
        ({"size": "8x8"}, "size"),
        ({"size": "big"}, "size"),
        ({"n": 0}, "n"),
        ({"n": 5}, "n"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"response_format": "url"}, "response_format"),
    ],
)
async def test_a_wrong_picture_request_is_refused_by_field(client, changes, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.images.generate(**({"prompt": "A desk"} | changes))
    assert refused.value.param == param
