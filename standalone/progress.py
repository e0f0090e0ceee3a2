"""How far a run has got: lines rewritten in place on a terminal, one line per change otherwise."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

TITLE_CHARS = 44
TITLE_CHARS_LEAST = 12
"""With less, a reason is cut rather than the title; the counts never are."""
_MARGINS = 4
WORDS = {"queued": "waiting", "running": "writing", "succeeded": "written"}
_UP = "\x1b[{}A"
_CLEAR_LINE = "\x1b[2K"


class Progress:
    """Shows the states of a run's generations on one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._begin = time.monotonic()
        self._shown: list[str] = []

    def show(self, run: Mapping[str, Any]) -> None:
        """Shows the run as it is now."""
        lines = self._lines(run.get("generations", ()))
        elapsed_s = time.monotonic() - self._begin
        if self._live:
            self._rewrite([*lines, f"  run {run['state']}, {elapsed_s:.0f} s"])
            return
        for number, line in enumerate(lines):
            if number >= len(self._shown) or self._shown[number] != line:
                self._stream.write(f"{elapsed_s:6.1f} s {line}\n")
        self._stream.flush()
        self._shown = lines

    def end(self) -> None:
        """Leaves a blank line behind what was shown."""
        self._stream.write("\n")
        self._stream.flush()

    def _lines(self, generations: Sequence[Mapping[str, Any]]) -> list[str]:
        """`  title   written, 412 words, images 2 of 3`, the titles as short as it takes."""
        said = [(str(each["task_title"]), _counts(each), _reason(each)) for each in generations]
        chars = TITLE_CHARS
        if self._live and said:
            room = _width() - _MARGINS
            counts = max(len(counts) for _, counts, _ in said)
            whole = max(len(counts) + len(reason) for _, counts, reason in said)
            least = min(TITLE_CHARS_LEAST, room - counts)
            chars = max(0, min(TITLE_CHARS, max(room - whole, least)))
        return [
            f"  {_shortened(title, chars):<{chars}}  {counts}{reason}"
            for title, counts, reason in said
        ]

    def _rewrite(self, lines: list[str]) -> None:
        width = _width()
        if self._shown:
            self._stream.write(_UP.format(len(self._shown)))
        for line in lines:
            self._stream.write(f"\r{_CLEAR_LINE}{line[:width]}\n")
        self._stream.flush()
        self._shown = lines


def _width() -> int:
    """Of a line; the last column stays empty, or some terminals would begin another."""
    return shutil.get_terminal_size().columns - 1


def _shortened(title: str, chars: int) -> str:
    return title if len(title) <= chars else f"{title[: max(0, chars - 1)]}…"[:chars]


def _counts(generation: Mapping[str, Any]) -> str:
    said = [WORDS.get(generation["state"], generation["state"])]
    if generation.get("word_count"):
        said.append(f"{generation['word_count']} words")
    images = generation.get("images") or {}
    if images.get("total"):
        said.append(f"images {images.get('generated', 0)} of {images['total']}")
    return ", ".join(said)


def _reason(generation: Mapping[str, Any]) -> str:
    reason = generation.get("reason") or (generation.get("images") or {}).get("reason")
    return f", {reason}" if reason else ""
