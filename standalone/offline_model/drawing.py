"""Draws a picture for a prompt: a landscape chosen by the prompt, and its words on a panel."""

from __future__ import annotations

import colorsys
import hashlib
import io
import math
import random

from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.PngImagePlugin import PngInfo

SIGNATURE = "offline model"
MAX_LINES = 6
_COMPRESS_LEVEL = 1  # flat colours compress well at once; higher levels only cost time
_RIDGES = 3
_RIDGE_STEPS = 40

Colour = tuple[int, int, int]
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def draw_png(prompt: str, width_px: int, height_px: int, variant: int = 0) -> bytes:
    """A PNG of exactly this size; the same prompt and variant give the same bytes."""
    digest = hashlib.sha256(f"{variant}\0{prompt}".encode("utf-8", "replace")).digest()
    chance = random.Random(int.from_bytes(digest[:8], "big"))  # noqa: S311 - looks, not secrecy
    hue = chance.random()
    image = _sky(hue, width_px, height_px)
    draw = ImageDraw.Draw(image)
    _sun(draw, chance, hue, width_px, height_px)
    _ridges(draw, chance, hue, width_px, height_px)
    _panel(draw, prompt, hue, width_px, height_px)
    note = PngInfo()
    note.add_text("Software", SIGNATURE)
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=_COMPRESS_LEVEL, pnginfo=note)
    return out.getvalue()


def _colour(hue: float, lightness: float, saturation: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue % 1.0, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def _sky(hue: float, width_px: int, height_px: int) -> Image.Image:
    column = ImageOps.colorize(
        Image.linear_gradient("L"), _colour(hue, 0.35, 0.45), _colour(hue + 0.12, 0.86, 0.7)
    )
    return column.resize((1, height_px)).resize((width_px, height_px), Image.Resampling.NEAREST)


def _sun(
    draw: ImageDraw.ImageDraw, chance: random.Random, hue: float, width_px: int, height_px: int
) -> None:
    radius = min(width_px, height_px) * chance.uniform(0.08, 0.16)
    x, y = width_px * chance.uniform(0.15, 0.85), height_px * chance.uniform(0.12, 0.28)
    for ring, lightness in ((1.35, 0.78), (1.15, 0.84), (1.0, 0.92)):
        r = radius * ring
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_colour(hue + 0.1, lightness, 0.75))


def _ridges(
    draw: ImageDraw.ImageDraw, chance: random.Random, hue: float, width_px: int, height_px: int
) -> None:
    for ridge in range(_RIDGES):
        base = height_px * (0.42 + 0.16 * ridge)
        swing = height_px * chance.uniform(0.04, 0.09)
        phase, waves = chance.uniform(0, 6.3), chance.uniform(1.0, 2.6)
        points = [(0.0, float(height_px))]
        for step in range(_RIDGE_STEPS + 1):
            turn = step / _RIDGE_STEPS * waves * 2 * math.pi + phase
            height = math.sin(turn) + 0.35 * math.sin(2.3 * turn)
            points.append((width_px * step / _RIDGE_STEPS, base + swing * height))
        points.append((float(width_px), float(height_px)))
        draw.polygon(points, fill=_colour(hue + 0.04 * ridge, 0.52 - 0.11 * ridge, 0.42))


def _panel(
    draw: ImageDraw.ImageDraw, prompt: str, hue: float, width_px: int, height_px: int
) -> None:
    margin = max(2, round(min(width_px, height_px) * 0.06))
    inner_px = width_px - 4 * margin
    size_px = max(6, round(min(width_px / 26, height_px / 16)))
    font = ImageFont.load_default(size=size_px)
    small = ImageFont.load_default(size=max(6, round(size_px * 0.6)))
    line_px = round(size_px * 1.35)
    room = max(1, (height_px - 4 * margin - line_px) // line_px)
    lines = _wrapped(prompt, font, inner_px, min(MAX_LINES, room))
    panel_px = line_px * len(lines) + 2 * margin + round(line_px * 0.6)
    top = height_px - margin - panel_px
    box = (margin, top, width_px - margin, height_px - margin)
    draw.rounded_rectangle(box, radius=margin // 2, fill=_colour(hue + 0.55, 0.13, 0.3))
    for number, line in enumerate(lines):
        draw.text(
            (2 * margin, top + margin * 0.8 + number * line_px),
            line,
            font=font,
            fill=(247, 245, 240),
        )
    foot = (width_px - 2 * margin, height_px - 1.35 * margin)
    draw.text(foot, SIGNATURE, font=small, fill=_colour(hue + 0.1, 0.75, 0.5), anchor="rb")


def _wrapped(text: str, font: Font, width_px: int, max_lines: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if not line or font.getlength(longer) <= width_px:
            line = longer
            continue
        lines.append(line)
        line = word
        if len(lines) == max_lines:
            break
    else:
        lines.append(line)
        return [_fitted(each, font, width_px) for each in lines if each]
    lines[-1] += " …"
    return [_fitted(each, font, width_px) for each in lines]


def _fitted(line: str, font: Font, width_px: int) -> str:
    """Cuts a single word that is wider than the panel."""
    while len(line) > 1 and font.getlength(line) > width_px:
        line = line[: max(1, len(line) * 9 // 10 - 1)]
    return line
