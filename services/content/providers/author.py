"""Asks the model for an article and accepts only a usable one."""

from __future__ import annotations

from typing import Any

from chassis.model import Answer, Model, Question
from chassis.model_errors import OutputInvalid
from services.content import domain, prompts
from services.content.domain import Article, Brief
from services.content.html import SANITIZER_VERSION, clean_html, clean_text
from services.content.words import count_words

WORDS_SHARE_MIN = 0.3
"""Less than this share of the asked length is not the article that was paid for."""


class Author:
    """Writes articles with one model."""

    def __init__(self, model: Model, name: str) -> None:
        self._model = model
        self._name = name

    async def write(self, brief: Brief) -> Article:
        """The article. Raises Unanswered with a PROVIDER reason."""
        question = Question(
            instructions=prompts.INSTRUCTIONS,
            material=prompts.material(brief),
            name="article",
            schema=prompts.SCHEMA,
            tokens_max=prompts.tokens_max(brief.word_count),
        )
        return await self._model.ask(self._name, question, lambda answer: read(answer, brief))


def read(answer: Answer, brief: Brief) -> Article:
    """The article in an answer, cleaned and cut to size. Raises OutputInvalid."""
    document = answer.document
    safe = clean_html(_text(document, "content_html"))
    words = count_words(safe)
    if words < brief.word_count * WORDS_SHARE_MIN:
        raise OutputInvalid(f"{words} words where {brief.word_count} were asked for")
    title = clean_text(_text(document, "title"), domain.TITLE_CHARS_MAX)
    if not title:
        raise OutputInvalid("the article has no title")
    return Article(
        title=title,
        content_html=safe,
        word_count=words,
        excerpt=clean_text(_text(document, "excerpt"), domain.EXCERPT_CHARS_MAX),
        meta_title=clean_text(_text(document, "meta_title"), domain.META_TITLE_CHARS_MAX),
        meta_description=clean_text(
            _text(document, "meta_description"), domain.META_DESCRIPTION_CHARS_MAX
        ),
        primary_keyword=clean_text(_text(document, "primary_keyword"), domain.KEYWORD_CHARS_MAX),
        secondary_keywords=_texts(
            document, "secondary_keywords", domain.SECONDARY_KEYWORDS_MAX, domain.KEYWORD_CHARS_MAX
        ),
        categories=_texts(document, "categories", domain.CATEGORIES_MAX, domain.TERM_CHARS_MAX),
        tags=_texts(document, "tags", domain.TAGS_MAX, domain.TERM_CHARS_MAX),
        model=answer.model[:128],
        prompt_version=prompts.PROMPT_VERSION,
        sanitizer_version=SANITIZER_VERSION,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise OutputInvalid(f"{name} is missing")
    return value


def _texts(document: dict[str, Any], name: str, count_max: int, chars_max: int) -> tuple[str, ...]:
    """Different, non-empty entries in their order; too many are cut, which harms nobody."""
    values = document.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise OutputInvalid(f"{name} is not a list of texts")
    cleaned = (clean_text(value, chars_max) for value in values)
    unique = {value.casefold(): value for value in cleaned if value}
    return tuple(unique.values())[:count_max]
