"""How far a run has got: lines rewritten in place on a terminal, one line per change otherwise."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from typing import Any, TextIO

TITLE_CHARS = 44
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
        lines = [_line(generation) for generation in run.get("generations", ())]
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

    def _rewrite(self, lines: list[str]) -> None:
        width = shutil.get_terminal_size().columns - 1
        if self._shown:
            self._stream.write(_UP.format(len(self._shown)))
        for line in lines:
            self._stream.write(f"\r{_CLEAR_LINE}{line[:width]}\n")
        self._stream.flush()
        self._shown = lines


def _line(generation: Mapping[str, Any]) -> str:
    """`  title   written, 412 words, images 2 of 3`."""
    said = [WORDS.get(generation["state"], generation["state"])]
    if generation.get("word_count"):
        said.append(f"{generation['word_count']} words")
    images = generation.get("images") or {}
    if images.get("total"):
        said.append(f"images {images.get('generated', 0)} of {images['total']}")
    if reason := generation.get("reason") or images.get("reason"):
        said.append(str(reason))
    title = str(generation["task_title"])
    if len(title) > TITLE_CHARS:
        title = f"{title[: TITLE_CHARS - 1]}…"
    return f"  {title:<{TITLE_CHARS}}  {', '.join(said)}"
