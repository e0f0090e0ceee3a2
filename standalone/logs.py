"""Log files of the processes: a few starts are kept, none grows without bound."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
from pathlib import Path

KEPT_STARTS = 3
BYTES_MAX = 20_000_000
TAIL_BYTES = 65_536
SENTENCE_CHARS_MAX = 300
NO_WORDS = "its log names no error"
_NATS_LINE = re.compile(r"^\[\d+\] [\d/]+ [\d:.]+ \[(?P<level>[A-Z]{3})\] ?(?P<said>.*)")
# It warns of settings that are as we want them, so its warnings are no reason to end.
_NATS_COMPLAINTS = ("ERR", "FTL")


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


def epitaph(name: str, exit_code: int | None, path: Path) -> str:
    """How a process ended, for people; and why, where its log can know that."""
    if exit_code is None:
        return f"{name} stopped"
    if exit_code < 0:
        # Whoever sent the signal knows the reason; what was logged before is about other things.
        return f"{name} stopped (signal {signal.Signals(-exit_code).name})"
    words = last_words(path) if exit_code > 0 else ""
    return f"{name} stopped (exit code {exit_code})" + (f": {words}" if words else "")


def last_words(path: Path) -> str:
    """The last complaint: a structured line from WARNING up, or anything that has no level."""
    try:
        with path.open("rb") as file:
            begin = max(0, path.stat().st_size - TAIL_BYTES)
            file.seek(begin)
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    # What the tail begins with is the end of some line, unless it is all there is.
    lines = lines[1:] if begin else lines
    for end in range(len(lines), 0, -1):
        line = lines[end - 1].strip()
        if words := _complaint(line):
            return (_raised(lines[:end]) if words == line else words)[:SENTENCE_CHARS_MAX]
    return ""


def _complaint(line: str) -> str:
    """What a line complains about; empty when it only reports."""
    if found := _NATS_LINE.match(line):
        return found["said"] if found["level"] in _NATS_COMPLAINTS else ""
    try:
        record = json.loads(line)
        message, level = str(record["message"]), record["level"]
    except (ValueError, KeyError, TypeError):
        return line
    if logging.getLevelNamesMapping().get(str(level), logging.ERROR) < logging.WARNING:
        return ""
    exception = str(record.get("exception", "")).strip().splitlines()
    return ": ".join([message, *([_raised(exception)] if exception else [])])


def _raised(lines: list[str]) -> str:
    """What the traceback at the end says first; the last line where there is none.

    The message may go on over many lines, with a statement and a link to a manual.
    """
    for begin in range(len(lines) - 1, -1, -1):
        if lines[begin].startswith("{"):
            # A line of the log itself: what is before it has been outlived.
            break
        if lines[begin].startswith("Traceback "):
            return next((line for line in lines[begin + 1 :] if line[:1].strip()), lines[-1])
    return lines[-1].strip()
