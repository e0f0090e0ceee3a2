"""What the offline model knows to say: about an article, or about an article's pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from typing import Any

from standalone.offline_model.article.subject import subject_of
from standalone.offline_model.article.voice import Voice, plain
from standalone.offline_model.article.writer import Article, shortened, write_article
from standalone.offline_model.briefs import DEFAULT_PICTURES, Brief, Illustrated
from standalone.offline_model.faults import without_markers
from standalone.offline_model.schema import Path

ALT_TEXT_CHARS = 125
_ALIASES = {
    "content": "content_html", "body": "content_html", "html": "content_html", "summary": "excerpt",
    "headline": "title", "keywords": "tags", "description": "meta_description",
}  # fmt: skip
_SCENES = (
    "a calm, uncluttered scene that shows the subject in everyday use",
    "a close view of the decisive detail, with a soft background",
    "a wide view of the place where it happens, with a person at work",
    "an orderly arrangement of the things that matter, seen from above",
    "two alternatives side by side on a plain surface",
    "hands at work on one small step, tools within reach",
)
_STYLES = (
    "natural light, realistic photograph",
    "clean editorial illustration, flat colours",
    "warm morning light, shallow depth of field",
    "muted colours, fine grain, documentary style",
)
_LATER_HEADINGS = (
    "conclusion",
    "checklist",
    "frequently",
    "questions",
    "verdict",
    "bottom line",
    "a short checklist",
)


class ArticleAnswers:
    """Answers an article's schema by property name."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief

    @cached_property
    def article(self) -> Article:
        """Written when first asked for."""
        return write_article(self._brief)

    @cached_property
    def _known(self) -> dict[str, Any]:
        known = asdict(self.article)
        return known | {alias: known[name] for alias, name in _ALIASES.items()}

    @cached_property
    def _voice(self) -> Voice:
        return Voice(subject_of(self._brief), "filling " + self._brief.title)

    def value(self, path: Path) -> Any:
        """What is known under the name that the path ends in."""
        return self._known.get(str(path[-1]))

    def count(self, _path: Path) -> int | None:
        """Nothing: lists of an article are known as a whole or filled."""
        return None

    def sentence(self, _path: Path) -> str:
        """Something about the subject for a property that nobody foresaw."""
        return plain(self._voice.say("plain.sentence"))


class PictureAnswers:
    """Answers a schema of image prompts; slot 0 is the featured picture, others follow headings."""

    def __init__(self, article: Illustrated) -> None:
        self._article = article
        self._title = without_markers(article.title) or "Untitled"
        self._seed = sum(ord(letter) for letter in self._title)

    def value(self, path: Path) -> Any:
        """What is known under the name that the path ends in."""
        if (name := self._name(path)) is None:
            return None
        makers: dict[str, Callable[[int], str]] = {
            "prompt": self.prompt,
            "alt_text": self.alt_text,
            "caption": self.caption,
        }
        return makers[name](self._slot(path))

    def count(self, _path: Path) -> int | None:
        """How many pictures the article is to have, beside the featured one."""
        count = self._article.in_article_count
        return DEFAULT_PICTURES if count is None else count

    def sentence(self, path: Path) -> str:
        """A caption for a property that nobody foresaw."""
        return self.caption(self._slot(path))

    def prompt(self, slot: int) -> str:
        """Repeats the title with its markers, so that they reach the picture's own request."""
        scene = _SCENES[(self._seed + slot) % len(_SCENES)]
        style = _STYLES[(self._seed + slot) % len(_STYLES)]
        if slot == 0:
            return (
                f"Featured image for the article “{self._article.title}”:"
                f" {scene}; {style}; no lettering."
            )
        return (
            f"Picture {slot} for the section “{self._heading(slot)}” of the article"
            f" “{self._article.title}”: {scene}; {style}; no lettering."
        )

    def alt_text(self, slot: int) -> str:
        """What the picture shows, short enough for a screen reader."""
        scene = _SCENES[(self._seed + slot) % len(_SCENES)]
        about = self._title if slot == 0 else self._heading(slot)
        return shortened(f"{about}: {scene}", ALT_TEXT_CHARS)

    def caption(self, slot: int) -> str:
        """One line to stand below the picture."""
        if slot == 0:
            return shortened(f"{self._title}: the subject at a glance.", 200)
        return shortened(f"{self._heading(slot)}: what it looks like in practice.", 200)

    def _heading(self, slot: int) -> str:
        """Headings spread over the article, those of its ending last."""
        headings = sorted(
            self._article.headings, key=lambda h: h.casefold().startswith(_LATER_HEADINGS)
        )
        main = [h for h in headings if not h.casefold().startswith(_LATER_HEADINGS)] or headings
        if not main:
            return self._title
        count = max(self.count(()) or 1, slot)
        return main[(slot - 1) * len(main) // count]

    @staticmethod
    def _name(path: Path) -> str | None:
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        if name in ("alt_text", "alt"):
            return "alt_text"
        if name == "caption":
            return "caption"
        return "prompt" if "prompt" in name or name.startswith(("featured", "in_article")) else None

    @staticmethod
    def _slot(path: Path) -> int:
        index = next((part for part in path if isinstance(part, int)), None)
        return 0 if index is None else index + 1
