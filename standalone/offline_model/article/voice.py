"""Speaks patterns from the word lists: seeded, escaped, and reluctant to repeat itself."""

from __future__ import annotations

import hashlib
import html
import random
import re
from collections import Counter
from functools import cache

from standalone.offline_model.article.lexicon import pools
from standalone.offline_model.article.subject import Subject

Entry = tuple[str, str]

_SLOT = re.compile(r"\{(\w+)\}")
_CHOICE = re.compile(r"\[([^\[\]]+)\]")
_MAX_TRIES = 6
# A pattern that comes round again is tied to something else, so that its sentence is new.
_TURNS = (
    "When it comes to {detail}, ",
    "With {detail} in mind, ",
    "For {keyword}, too: ",
    "As far as you can plan {keyword}, ",
    "Here, too: ",
    "Looking at {detail}, remember: ",
    "As with most questions about {keyword}, ",
    "One more time, because it matters: ",
)


def plain(text: str) -> str:
    """HTML as text: no tags, no entities."""
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def escaped(text: str) -> str:
    """Text as HTML; quotes stay readable because nothing goes into attributes."""
    return html.escape(text, quote=False)


def words_in(text: str) -> int:
    """Words as a reader counts them, tags aside."""
    return len(plain(text).split())


def capital(text: str) -> str:
    """A capital first letter, past any opening tag or quote."""
    match = re.match(r"(?:<[^>]+>|&quot;|[“\"'(])*", text)
    start = match.end() if match else 0
    first = text[start : start + 2]
    if not first or (len(first) == 2 and first[1].isupper()):
        return text
    return text[:start] + first[0].upper() + text[start + 1 :]


class Voice:
    """One article's way of speaking: the same seed and subject say the same things."""

    def __init__(self, subject: Subject, seed: str) -> None:
        digest = hashlib.sha256(seed.encode("utf-8", "replace")).digest()
        seed_number = int.from_bytes(digest[:8], "big")
        self.random = random.Random(seed_number)  # noqa: S311 - style, not secrecy
        self.subject = subject
        self._keywords = list(subject.keywords)
        self._details = list(subject.details)
        self._turn = 0
        self._times: Counter[str] = Counter()
        self._said: set[str] = set()

    def focus(self, keyword: str | None) -> None:
        """Lets one keyword lead until the next call; None takes all of them in turn again."""
        self._keywords = [keyword] if keyword else list(self.subject.keywords)

    def say(self, pool: str, **extra: str) -> str:
        """One sentence as HTML from the least used patterns of a pool."""
        patterns = pools()[pool]
        if pool.endswith(".say") and pool.count(".") == 1 and all(self._times[p] for p in patterns):
            patterns = _all_sayings()
        return self._render_fresh(patterns, extra)

    def heading(self, pool: str, **extra: str) -> str:
        """As `say`, about the leading keyword, and never with an introduction."""
        return self._render_fresh(
            pools()[pool], {"keyword": self._keywords[0], **extra}, turn=False
        )

    def entries(self, pool: str, count: int) -> list[Entry]:
        """Some `lead :: text` entries of a list pool, in their written order, as rendered pairs."""
        patterns = pools()[pool]
        fresh = sorted(
            range(len(patterns)), key=lambda i: (self._times[patterns[i]], self.random.random())
        )
        chosen = sorted(fresh[: min(count, len(patterns))])
        pairs = []
        for index in chosen:
            self._times[patterns[index]] += 1
            lead, _, text = patterns[index].partition(" :: ")
            pairs.append((self._render(lead, {}), self._render(text, {}) if text else ""))
        return pairs

    def candidates(self, pool: str) -> list[str]:
        """Every sentence of a pool that has not been said, rendered but not yet counted as said."""
        rendered = (self._render(pattern, {}) for pattern in pools()[pool])
        return [sentence for sentence in rendered if sentence not in self._said]

    def _render_fresh(
        self, patterns: tuple[str, ...], extra: dict[str, str], *, turn: bool = True
    ) -> str:
        sentence = ""
        for _ in range(_MAX_TRIES):
            least = min(self._times[pattern] for pattern in patterns)
            pattern = self.random.choice([p for p in patterns if self._times[p] == least])
            self._times[pattern] += 1
            sentence = self._render(pattern, extra)
            if sentence in self._said and turn:
                lowered = (
                    sentence
                    if sentence.startswith(("I ", "“"))
                    else sentence[0].lower() + sentence[1:]
                )
                sentence = self._render(self.random.choice(_TURNS), extra) + lowered
            if sentence not in self._said:
                break
        self._said.add(sentence)
        return sentence

    def _render(self, pattern: str, extra: dict[str, str]) -> str:
        chosen = _CHOICE.sub(lambda m: self.random.choice(m.group(1).split("|")), pattern)
        return capital(_SLOT.sub(lambda m: self._slot(m.group(1), extra), chosen))

    def _slot(self, name: str, extra: dict[str, str]) -> str:
        value = self._value(name.lower(), extra)
        text = escaped(value)
        return capital(text) if name[0].isupper() else text

    def _value(self, name: str, extra: dict[str, str]) -> str:
        if name in extra:
            return extra[name]
        subject = self.subject
        self._turn += 1
        match name:
            case "subject":
                return subject.noun
            case "topic":
                return subject.topic
            case "title":
                return subject.title.rstrip("?!. ")
            case "cluster":
                return subject.cluster or subject.keywords[0]
            case "keyword":
                return self._keywords[
                    0 if self._turn % 3 else self.random.randrange(len(self._keywords))
                ]
            case "detail":
                return self._details[self._turn % len(self._details)]
            case "first" | "second":
                return subject.options[name == "second"]
        raise KeyError(f"no such slot: {name}")


@cache
def _all_sayings() -> tuple[str, ...]:
    return tuple(
        pattern
        for name, patterns in pools().items()
        if name.endswith(".say") and not name.startswith(("intro", "end"))
        for pattern in patterns
    )
