"""Reads the word lists: patterns, list entries and sets of words, each pool under its name."""

from __future__ import annotations

from functools import cache
from importlib import resources

_FILES = ("aspects.txt", "general.txt", "lists.txt", "frames.txt", "grammar.txt")


@cache
def pools() -> dict[str, tuple[str, ...]]:
    """All lines by pool. A word list is `== pool`, then one pattern a line; `//` is a comment."""
    found: dict[str, list[str]] = {}
    folder = resources.files("standalone.offline_model") / "words"
    for name in _FILES:
        pool: list[str] = []
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            if line.startswith("== "):
                pool = found.setdefault(line[3:].strip(), [])
            elif line.strip() and not line.startswith("//"):
                pool.append(line.strip())
    return {name: tuple(patterns) for name, patterns in found.items()}


@cache
def word_set(pool: str) -> frozenset[str]:
    """A pool of plain words, any number on a line."""
    return frozenset(word for line in pools()[pool] for word in line.split())
