"""Log files of the processes: a few starts are kept, none grows without bound."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

KEPT_STARTS = 3
BYTES_MAX = 20_000_000
TAIL_BYTES = 16_384
SENTENCE_CHARS_MAX = 300
_NATS_PREFIX = re.compile(r"^\[\d+\] [\d/]+ [\d:.]+ \[[A-Z]{3}\] ")


def open_log(path: Path) -> int:
    """A descriptor that appends to the file, readable by its owner only."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(path: Path) -> None:
    """Puts the log of the start before aside and forgets the oldest."""
    for number in range(KEPT_STARTS - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def trim(path: Path) -> None:
    """Puts what is in a log that has grown too large aside; writers append, so they go on."""
    if path.exists() and path.stat().st_size > BYTES_MAX:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)


def last_words(path: Path) -> str:
    """The last line that says something: of structured lines the message and the error's name."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    lines = [line.strip() for line in lines if line.strip()]
    return _sentence(lines[-1])[:SENTENCE_CHARS_MAX] if lines else ""


def _sentence(line: str) -> str:
    try:
        record = json.loads(line)
        exception = record.get("exception", "").strip().splitlines()
        return ": ".join([str(record["message"]), *exception[-1:]])
    except (ValueError, KeyError, AttributeError):
        return _NATS_PREFIX.sub("", line)
