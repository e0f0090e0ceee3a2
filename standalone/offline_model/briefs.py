"""What a request asks for: the brief or article in its messages, or a guess from plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standalone.offline_model.faults import without_markers

MIN_WORDS = 50
MAX_WORDS = 12_000
DEFAULT_WORDS = 1_000
MAX_TITLE_CHARS = 500
MAX_KEYWORDS = 20
MAX_PICTURES = 20
DEFAULT_PICTURES = 2

_BLOCK = re.compile(r"```(brief|article)\s+(?=\{)")
_WORDS_ASKED = re.compile(r"\b(\d{2,5})[\s-]+words?\b", re.IGNORECASE)
_PICTURES_ASKED = re.compile(
    r"\b(\d{1,2})\s+(?:in[-_ ]article|images?|pictures?|prompts?)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Brief:
    """One article to write; `title` keeps its fault markers, every other text has lost them."""

    title: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    content_type: str = ""
    content_structure: str = ""
    word_count: int = DEFAULT_WORDS
    cluster: str = ""
    taxonomy_term: str = ""
    instructions: str = ""

    @property
    def plain_title(self) -> str:
        """The title as readers should see it."""
        return without_markers(self.title) or "Untitled"


@dataclass(frozen=True, slots=True)
class Illustrated:
    """One article to illustrate; `title` keeps its fault markers."""

    title: str
    headings: tuple[str, ...] = ()
    excerpt: str = ""
    in_article_count: int | None = None


def message_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """All text of all messages in order, whether a content is a string or a list of parts."""
    texts: list[str] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            texts.append(content)
        elif isinstance(content, list):
            texts += [
                part["text"]
                for part in content
                if isinstance(part, Mapping) and isinstance(part.get("text"), str)
            ]
    return "\n".join(texts)


def fenced_block(text: str, name: str) -> dict[str, Any] | None:
    """The last JSON object fenced as ```name; backticks inside its strings do no harm."""
    found: dict[str, Any] | None = None
    for match in _BLOCK.finditer(text):
        if match.group(1) != name:
            continue
        try:
            value, _ = json.JSONDecoder().raw_decode(text, match.end())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found = value
    return found


def brief_from(text: str, user_text: str) -> Brief:
    """The brief in the fenced block, else a guess: first line as title, 'N words' as length."""
    block = fenced_block(text, "brief")
    if block is None:
        return Brief(title=_first_line(user_text), word_count=_words_asked(user_text))
    return Brief(
        title=_flat(block.get("title"))[:MAX_TITLE_CHARS] or "Untitled",
        description=without_markers(_flat(block.get("description"))),
        keywords=_keywords(block.get("keywords")),
        content_type=_flat(block.get("content_type")),
        content_structure=_flat(block.get("content_structure")),
        word_count=_bounded(block.get("word_count"), MIN_WORDS, MAX_WORDS, DEFAULT_WORDS),
        cluster=without_markers(_flat(block.get("cluster"))),
        taxonomy_term=without_markers(_flat(block.get("taxonomy_term"))),
        instructions=without_markers(_flat(block.get("instructions"))),
    )


def illustrated_from(text: str, user_text: str) -> Illustrated:
    """The article in the fenced block, else a guess from the first line."""
    block = fenced_block(text, "article")
    if block is None:
        asked = _PICTURES_ASKED.search(user_text)
        count = min(int(asked.group(1)), MAX_PICTURES) if asked else None
        return Illustrated(title=_first_line(user_text), in_article_count=count)
    headings = block.get("headings")
    found = (
        [without_markers(_flat(item)) for item in headings] if isinstance(headings, list) else []
    )
    asked_count = block.get("in_article_count")
    return Illustrated(
        title=_flat(block.get("title"))[:MAX_TITLE_CHARS] or "Untitled",
        headings=tuple(heading for heading in found if heading),
        excerpt=without_markers(_flat(block.get("excerpt"))),
        in_article_count=None
        if asked_count is None
        else _bounded(asked_count, 0, MAX_PICTURES, DEFAULT_PICTURES),
    )


def _flat(value: object) -> str:
    """Any JSON value as one line: an object gives its name or title, a list its joined items."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return _flat(value.get("name") or value.get("title"))
    if isinstance(value, list):
        return ", ".join(filter(None, map(_flat, value)))
    return " ".join(str(value).split())


def _keywords(value: object) -> tuple[str, ...]:
    parts = without_markers(_flat(value)).replace(";", ",").split(",")
    cleaned = (part.strip(" .\"'") for part in parts)
    return tuple(dict.fromkeys(part for part in cleaned if part))[:MAX_KEYWORDS]


def _bounded(value: object, low: int, high: int, default: int) -> int:
    try:
        return max(low, min(high, int(str(value))))
    except ValueError:
        return default


def _words_asked(text: str) -> int:
    asked = _WORDS_ASKED.search(text)
    return _bounded(asked.group(1), MIN_WORDS, MAX_WORDS, DEFAULT_WORDS) if asked else DEFAULT_WORDS


def _first_line(text: str) -> str:
    lines = (" ".join(line.split()).lstrip("# ").rstrip() for line in text.splitlines())
    return next((line for line in lines if line), "Untitled")[:MAX_TITLE_CHARS]
