"""Turns a brief into phrases that fit into sentences: what it is about, seen as nouns."""

from __future__ import annotations

import re
from dataclasses import dataclass

from standalone.offline_model.article.lexicon import word_set
from standalone.offline_model.article.phrases import (
    chunks,
    gerund,
    in_general,
    is_command,
)
from standalone.offline_model.briefs import Brief

MAX_DETAILS = 10
MAX_ITEMS = 20
MIN_ITEMS = 3
MAX_PHRASE_WORDS = 14

_GUIDE_TO = re.compile(
    r"^(?:(?:an?|the|your|our)\s+)?(?:[\w'\u2019-]+\s+){0,2}guide\s+(?:to|for|on)\s+", re.IGNORECASE
)
_TAIL = re.compile(
    r"\s*(?:\(\d{4}\)|\bin 20\d\d|\b20\d\d|\breviews?|\breviewed|\bguide|\?|!|\.)+$", re.IGNORECASE
)
_COUNTED = re.compile(r"^(?:the\s+)?(?:top\s+)?(\d{1,3})\s+(.*)$", re.IGNORECASE)
_VERSUS = re.compile(r"\s+(?:vs\.?|versus)\s+", re.IGNORECASE)
_BEST = re.compile(r"^(?:the\s+)?(?:best|top|cheapest)\s+", re.IGNORECASE)
_DETERMINER = re.compile(
    r"^(?:an?|the|your|my|our|any|some|new|good|right|perfect)\s+", re.IGNORECASE
)
_PREPOSITION = re.compile(
    r"\s+(?:for|in|on|with|without|at|from|to|of|near|under|and|or)\s.*$", re.IGNORECASE
)
_VERB_ON = re.compile(
    r"\s+(?:is|are|does|do|did|can|should|will|has|have|was|were|not|you|we|worth|really)\b.*$",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“«']([^\"”»']{3,60})[\"”»'](?!\w)")
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+)[\"“(]*\w+")


@dataclass(frozen=True, slots=True)
class Subject:
    """`noun` and `keywords` stand alone in a sentence; `topic` stands after the, your or any."""

    title: str
    noun: str
    topic: str
    keywords: tuple[str, ...]
    details: tuple[str, ...]
    cluster: str
    options: tuple[str, str]
    item_count: int | None
    lists_ideas: bool


def subject_of(brief: Brief) -> Subject:
    """Reads title, keywords, description and quoted instructions, whatever they say."""
    proper = _proper_words(brief)
    title = brief.plain_title
    noun = _noun_from(title, proper)
    raw = [_soften(keyword, proper) for keyword in brief.keywords]
    single = [keyword for keyword in raw if not _VERSUS.search(keyword)] or raw
    topic = next((t for t in map(_topic_from, raw or [_soften(title, proper)]) if t), _short(noun))
    keywords = list(dict.fromkeys(_noun_from(keyword, proper) for keyword in single))
    keywords = keywords or [in_general(topic)]
    details = _details(brief, proper, keywords)
    counted = _COUNTED.match(title)
    count = int(counted.group(1)) if counted else None
    return Subject(
        title=title,
        noun=noun,
        topic=topic,
        keywords=tuple(keywords),
        details=tuple(details or keywords[1:] or [_short(noun)]),
        cluster=_soften(brief.cluster, proper),
        options=_options(title, keywords, proper),
        lists_ideas=bool(
            counted and counted.group(2).split(" ", 1)[0].casefold() in word_set("listed")
        ),
        item_count=min(count, MAX_ITEMS) if count and count >= MIN_ITEMS else None,
    )


def _main_part(title: str) -> str:
    """The part of a title that names its subject: mostly what stands before a colon or dash."""
    head, _, tail = (
        part.strip()
        for part in re.sub(r"\s+[\u2013—|-]\s+|:\s+", "\0", title, count=1).partition("\0")
    )
    if tail and head.casefold() in word_set("lead_ins"):
        return tail
    return head or title


def _noun_from(title: str, proper: frozenset[str]) -> str:
    question = title.strip()
    phrase = _TAIL.sub("", _main_part(question)).strip() or question
    phrase = _GUIDE_TO.sub("", phrase)
    if counted := _COUNTED.match(phrase):
        phrase = (
            counted.group(2) if not _BEST.match(counted.group(2)) else "the " + counted.group(2)
        )
        if title.casefold().startswith("top "):
            phrase = "the best " + phrase
    elif _BEST.match(phrase):
        phrase = "the " + re.sub(r"^the\s+", "", phrase, flags=re.IGNORECASE)
    phrase = " ".join(_soften(phrase, proper).split()[:MAX_PHRASE_WORDS])
    lowered = phrase.casefold()
    if len(sides := _VERSUS.split(phrase)) == 2:
        return f"the choice between {in_general(sides[0])} and {in_general(sides[1])}"
    if lowered.startswith("how to "):
        return gerund(phrase[7:])
    for opening in ("what is ", "what are ", "what\u2019s ", "what's "):
        if lowered.startswith(opening):
            return phrase[len(opening) :]
    first = lowered.split(" ", 1)[0]
    if first in word_set("question_verbs"):
        return f"the question “{question[:1].upper()}{question[1:].rstrip('?')}?”"
    if is_command(phrase):
        return gerund(phrase)
    return in_general(phrase) or "the subject"


def _topic_from(phrase: str) -> str:
    """A phrase that can follow 'your' or 'the right'; empty when there is none in it."""
    text = _VERSUS.split(_TAIL.sub("", _main_part(phrase)))[0]
    text = _GUIDE_TO.sub("", text)
    if counted := _COUNTED.match(text):
        text = counted.group(2)
    text = _BEST.sub("", text)
    lowered = text.casefold()
    for opening in ("what is ", "what are ", "how to ", "why ", "when ", "where ", "which "):
        if lowered.startswith(opening):
            text = text[len(opening) :]
            break
    first = text.split(" ", 1)[0].casefold()
    how_to = lowered.startswith("how to ") and first in word_set("imperatives")
    if " " in text and (how_to or is_command(text) or first in word_set("question_verbs")):
        text = text.split(" ", 1)[1]
    while _DETERMINER.match(text):
        text = _DETERMINER.sub("", text)
    return _short(_VERB_ON.sub("", text))


def _short(phrase: str) -> str:
    return _PREPOSITION.sub("", phrase).strip() or phrase


def _soften(phrase: str, proper: frozenset[str]) -> str:
    """Lower case as inside a sentence; names and acronyms keep their capitals."""
    words = phrase.split()
    longer = [word for word in words[1:] if len(word) > 3 and word[0].isalpha()]
    capitals = [word for word in longer if word[0].isupper()]
    title_case = len(longer) >= 2 and len(capitals) >= 0.6 * len(longer)
    softened = []
    for index, word in enumerate(words):
        bare = word.strip(".,:;!?()\"'“”")
        keeps = bare in proper or not bare[1:].islower() or any(c.isdigit() for c in bare)
        if len(bare) == 1:
            keeps = bare != "A"
        lower = word.lower() if (index == 0 or title_case) and not keeps else word
        softened.append(lower)
    return " ".join(softened)


def _proper_words(brief: Brief) -> frozenset[str]:
    """Words written with a capital in the middle of a sentence of the brief, so probably names."""
    found: set[str] = set()
    for text in (brief.description, brief.instructions):
        starts = {match.end() for match in _SENTENCE_START.finditer(text)}
        found |= {
            match.group()
            for match in re.finditer(r"\b[A-Z][\w\u2019'-]*", text)
            if match.end() not in starts
        }
    if any(keyword.islower() for keyword in brief.keywords):
        # Whoever writes one keyword in lower case means the capitals of the others.
        for keyword in brief.keywords:
            found |= set(re.findall(r"\b[A-Z][\w\u2019'-]*", keyword))
    return frozenset(found)


def _details(brief: Brief, proper: frozenset[str], keywords: list[str]) -> list[str]:
    known = {keyword.casefold() for keyword in keywords}
    quoted = [_soften(text, proper) for text in _QUOTED.findall(brief.instructions)]
    found = quoted + [_soften(chunk, proper) for chunk in chunks(brief.description)]
    fresh = dict.fromkeys(text for text in found if text.casefold() not in known)
    return list(fresh)[:MAX_DETAILS]


def _options(title: str, keywords: list[str], proper: frozenset[str]) -> tuple[str, str]:
    """The two things to compare: from 'A vs B' or 'A or B' in the title, else two keywords."""
    for pattern in (_VERSUS, re.compile(r"\s+or\s+", re.IGNORECASE)):
        sides = pattern.split(_soften(_TAIL.sub("", _main_part(title)), proper), maxsplit=1)
        if len(sides) == 2:
            return in_general(sides[0]), in_general(sides[1])
    if len(keywords) > 1:
        return keywords[0], keywords[1]
    return "the simple version", "the thorough version"
