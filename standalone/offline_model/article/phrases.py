"""Small English grammar: gerunds, question words, and noun chunks of a description."""

from __future__ import annotations

import re
from functools import cache

from standalone.offline_model.article.lexicon import word_set

MAX_CHUNK_WORDS = 4
MIN_SINGLE_WORD_CHARS = 6

_HEAD = re.compile(
    r"^(?P<before>(?:.*?\s)??)(?P<head>[a-z]+)"
    r"(?P<after>(?:\s(?:for|in|on|with|without|at|from|of)\s.*)?)$"
)
_WORD = re.compile(r"[\w\u2019'-]+|[^\w\s]")


def gerund(phrase: str) -> str:
    """A command as a noun: 'choose a desk' becomes 'choosing a desk'."""
    words = phrase.split()
    if not words:
        return phrase
    words[0] = _ing(words[0])
    if len(words) > 3 and words[1] == "and" and words[2].casefold() in word_set("imperatives"):
        words[2] = _ing(words[2])
    return " ".join(words)


def _ing(verb: str) -> str:
    if verb in word_set("doubled"):
        return verb + verb[-1] + "ing"
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and verb != "be":
        return verb[:-1] + "ing"
    return verb + "ing"


def is_command(phrase: str) -> bool:
    """Whether it begins with a verb: 'choose a desk', 'clean your car', but not 'shop window'."""
    first, _, rest = phrase.casefold().partition(" ")
    if not rest or first not in word_set("imperatives"):
        return False
    return first not in word_set("also_nouns") or rest.split()[0] in word_set("determiners")


@cache
def _actions() -> frozenset[str]:
    """Gerunds that act on what follows; not those that name a kind (running shoes)."""
    return frozenset(map(_ing, word_set("imperatives"))) - {"running", "training", "washing"}


def in_general(phrase: str) -> str:
    """A bare noun phrase as one speaks of it in general: 'standing desk' becomes 'standing desks'.

    Left alone: single words, phrases with an article, mass nouns, names, plurals.
    """
    match = _HEAD.match(phrase)
    words = phrase.split()
    if (
        match is None
        or len(words) < 2
        or words[0] in ("a", "an", "the", "your", "how", "why", "when", "which")
    ):
        return phrase
    head = match["head"]
    mass = head in word_set("mass_nouns") or head.endswith(tuple(word_set("mass_endings")))
    if mass or words[0] in _actions():
        return phrase
    return match["before"] + _plural(head) + match["after"]


def _plural(noun: str) -> str:
    if noun.endswith("s") and not noun.endswith("ss"):
        return noun
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("ss", "x", "ch", "sh")) else "s")


def chunks(text: str) -> list[str]:
    """Runs of content words between stop words and punctuation, in order of appearance."""
    found: list[str] = []
    run: list[str] = []
    for token in [*_WORD.findall(text), "."]:
        if token[0].isalnum() and token.casefold() not in word_set("stop"):
            run.append(token)
            continue
        while len(run) > 1 and run[0].endswith("s") and run[0][:-1] in word_set("imperatives"):
            run = run[1:]
        if _is_noun_chunk(run):
            found.append(_with_article(run))
        run = []
    return list(dict.fromkeys(found))


def _with_article(run: list[str]) -> str:
    """A single thing takes 'the'; names, plurals and mass nouns do without."""
    word = run[0]
    bare = (
        len(run) > 1 or not word.islower() or word.endswith("s") or word in word_set("mass_nouns")
    )
    if bare or word.endswith(tuple(word_set("mass_endings"))):
        return " ".join(run)
    return f"the {word}"


def _is_noun_chunk(run: list[str]) -> bool:
    if (
        not run
        or run[0][0].isdigit()
        or len(run) > MAX_CHUNK_WORDS
        or run[-1].endswith(("ly", "ed"))
    ):
        return False
    if len(run) == 1:
        return len(run[0]) >= MIN_SINGLE_WORD_CHARS and not run[0].endswith(
            ("ing", "ful", "ive", "ous", "al", "ble", "ic")
        )
    return not run[-1].isdigit()
