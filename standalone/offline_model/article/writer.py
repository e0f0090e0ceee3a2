"""Writes a whole article about a brief: body, titles, keywords and terms."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from standalone.offline_model.article.outline import family_of, outline
from standalone.offline_model.article.page import Page
from standalone.offline_model.article.sections import Composer
from standalone.offline_model.article.subject import Subject, subject_of
from standalone.offline_model.article.voice import Voice, capital, plain
from standalone.offline_model.briefs import Brief

META_TITLE_CHARS = 70
META_DESCRIPTION_CHARS = 160


@dataclass(frozen=True, slots=True)
class Article:
    """What the offline model has to say; `title` is the brief's own, markers included."""

    title: str
    meta_title: str
    meta_description: str
    primary_keyword: str
    secondary_keywords: list[str]
    excerpt: str
    categories: list[str]
    tags: list[str]
    content_html: str
    prose: str


def write_article(brief: Brief) -> Article:
    """About `brief.word_count` words, within a tenth; the same brief gives the same article."""
    subject = subject_of(brief)
    voice = Voice(subject, json.dumps(asdict(brief), sort_keys=True))
    page = _compose(brief, subject, voice)
    voice.focus(subject.keywords[0])
    keywords = list(brief.keywords) or [subject.topic]
    derived = [f"{subject.topic} {ending}" for ending in ("guide", "tips", "checklist")]
    terms = [term for term in (brief.taxonomy_term, brief.cluster) if term]
    return Article(
        title=brief.title,
        meta_title=shortened(capital(subject.title), META_TITLE_CHARS),
        meta_description=shortened(plain(voice.heading("meta")), META_DESCRIPTION_CHARS),
        primary_keyword=keywords[0],
        secondary_keywords=(keywords[1:] or derived)[:8],
        excerpt=plain(voice.heading("excerpt")),
        categories=list(dict.fromkeys(terms or [capital(subject.topic)])),
        tags=list(dict.fromkeys([*keywords, subject.topic]))[:6],
        content_html=page.html(),
        prose=page.prose(),
    )


def _compose(brief: Brief, subject: Subject, voice: Voice) -> Page:
    family = family_of(brief.content_structure)
    sections = outline(family, brief.word_count, subject)
    page = Page()
    composer = Composer(page, voice, family, brief.word_count)
    composer.item_count = sum(section.kind == "item" for section in sections)
    composer.step_count = sum(section.kind == "step" for section in sections)
    for index, section in enumerate(sections):
        rest = sections[index:]
        left = brief.word_count - page.words
        planned = sum(other.budget for other in rest)
        if section.elastic:
            # Lists keep their size; running text takes what they left over or used up.
            firm = sum(other.budget for other in rest if not other.elastic)
            share = section.budget / max(planned - firm, 1)
            composer.write(section, round((left - firm) * share))
        else:
            composer.write(section, section.budget)
    return page


def shortened(text: str, limit_chars: int) -> str:
    """At most so many characters, cut between words."""
    if len(text) <= limit_chars:
        return text
    return text[: limit_chars - 1].rsplit(" ", 1)[0].rstrip(" ,;:\u2013-") + "…"
