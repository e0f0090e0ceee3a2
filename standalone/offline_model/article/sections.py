"""Writes single sections, each close to a budget in words; the next even out what it missed."""

from __future__ import annotations

from collections.abc import Callable

from standalone.offline_model.article.lexicon import pools
from standalone.offline_model.article.outline import Section
from standalone.offline_model.article.page import Page
from standalone.offline_model.article.voice import Voice, capital, escaped, words_in

_SHAPES = (
    ("say", "say", "example", "close"),
    ("say", "reason", "say", "advice"),
    ("say", "caution", "detail"),
    ("link", "say", "keyword", "say"),
    ("say", "detail", "say", "advice"),
    ("example", "say", "reason"),
    ("say", "say", "caution", "close"),
    ("say", "cluster", "say"),
    ("keyword", "say", "say", "reason"),
)
_SUBSECTION_WORDS = 170
_SENTENCE_WORDS = 15
_ENTRY_WORDS = 28  # what an explained entry needs of the whole article
_MAX_PARAGRAPHS = 400  # above any article of the longest allowed length


class Composer:
    """Writes sections of one family onto one page with one voice."""

    def __init__(self, page: Page, voice: Voice, family: str, words: int) -> None:
        self.page, self.voice, self.family, self.words = page, voice, family, words
        self._writers: dict[str, Callable[[Section, int], None]] = {
            "intro": self._intro, "aspect": self._aspect, "steps": self._steps, "step": self._step,
            "mistakes": self._list, "checklist": self._list, "needs": self._list,
            "benefits": self._list,
            "glossary": self._list, "pros": self._pros, "faq": self._faq, "table": self._table,
            "item": self._item, "names": self._names, "option": self._option, "hub": self._hub,
            "end": self._end,
        }  # fmt: skip
        self._items = voice.entries("tips" if voice.subject.lists_ideas else "items", 20)
        voice.random.shuffle(self._items)
        self._plan = voice.entries("steps", 12)
        self.item_count = 0
        self.step_count = 0

    def write(self, section: Section, budget: int) -> None:
        """Adds the section to the page, in about so many words."""
        self._writers[section.kind](section, max(budget, 0))

    def _family_pool(self, name: str) -> str:
        special = f"{name}.{self.family}"
        return special if special in pools() else name

    def _intro(self, _section: Section, budget: int) -> None:
        details = [escaped(detail) for detail in self.voice.subject.details[:3]]
        points = ", ".join(details[:-1]) + (" and " if len(details) > 1 else "") + details[-1]
        special = f"intro.{self.family}"
        order = [
            self._family_pool("intro.lead"),
            special if special in pools() else "intro.say",
            "intro.focus",
        ]
        order += ["intro.say", "keyword", "intro.say", "detail", "intro.say", "tip"]
        sentences: list[str] = []
        written = 0
        for pool in order:
            if sentences and written + _SENTENCE_WORDS / 2 > budget:
                break
            sentences.append(self.voice.say(pool, points=points))
            written += words_in(sentences[-1])
        half = len(sentences) // 2 + 1 if len(sentences) > 4 else len(sentences)
        self.page.paragraph(*sentences[:half])
        if sentences[half:]:
            self.page.paragraph(*sentences[half:])

    def _aspect(self, section: Section, budget: int) -> None:
        name = section.arg
        self.page.heading(2, self.voice.heading(f"{name}.heads"))
        start = self.page.words
        lead = min(budget, _SUBSECTION_WORDS) if budget > 1.6 * _SUBSECTION_WORDS else budget
        self._fill(f"{name}.say", lead, self.voice.say(f"{name}.open"))
        part = 0
        while (left := budget - (self.page.words - start)) > _SENTENCE_WORDS * 2:
            self._subheading(part)
            self._fill(f"{name}.say", min(left, _SUBSECTION_WORDS) if left > 250 else left)
            part += 1
        self.voice.focus(None)
        if budget > 90 and self.voice.random.random() < 0.3:
            self.page.quote(self.voice.say("tip"))

    def _subheading(self, part: int) -> None:
        subject = self.voice.subject
        names = [*subject.details, *subject.keywords]
        name = names[(part + self.voice.random.randrange(len(names))) % len(names)]
        self.page.heading(3, self.voice.heading("sub.heads", detail=name))
        self.voice.focus(name if name in subject.keywords else None)

    def _fill(self, say_pool: str, budget: int, opening: str | None = None) -> None:
        """Paragraphs until the budget is used up, to the nearest sentence."""
        paragraphs: list[list[str]] = [[opening]] if opening else []
        left = budget - (words_in(opening) if opening else 0)
        for _ in range(_MAX_PARAGRAPHS):
            if left <= _SENTENCE_WORDS / 2:
                break
            first = len(paragraphs) == bool(opening)
            shapes = [shape for shape in _SHAPES if not (first and shape[0] in ("link", "example"))]
            paragraph: list[str] = paragraphs[0] if first and opening else []
            for role in self.voice.random.choice(shapes):
                if left <= _SENTENCE_WORDS / 2:
                    break
                if role == "cluster" and not self.voice.subject.cluster:
                    continue
                paragraph.append(self.voice.say(say_pool if role == "say" else role))
                left -= words_in(paragraph[-1])
            if not (first and opening):
                paragraphs.append(paragraph)
            opening = None
        if len(paragraphs) > 1 and len(paragraphs[-1]) < 2:
            paragraphs[-2:] = [paragraphs[-2] + paragraphs[-1]]
        for paragraph in filter(None, paragraphs):
            self.page.paragraph(*paragraph)

    def _opening(self, kind: str, budget: int) -> int:
        """Heading, and a lead where there is room for one; gives what is left of the budget."""
        start = self.page.words
        self.page.heading(2, self.voice.heading(self._family_pool(f"head.{kind}")))
        if budget >= 45:
            self.page.paragraph(self.voice.say(f"lead.{kind}"))
        return budget - (self.page.words - start)

    def _entries(self, pool: str, budget: int) -> list[str]:
        """List items: leads alone where words are scarce, lead and sentence elsewhere."""
        count = max(3, min(12, budget // 17))
        with_text = budget >= 40
        return [
            f"<strong>{lead}</strong>: {text}" if with_text and text else lead
            for lead, text in self.voice.entries(pool, count)
        ]

    def _list(self, section: Section, budget: int) -> None:
        left = self._opening(section.kind, budget)
        self.page.listing("ul", self._entries(section.kind, left))

    def _steps(self, _section: Section, budget: int) -> None:
        left = self._opening("steps", budget)
        start = self.page.words
        self.page.listing("ol", self._entries(self._family_pool("steps"), left))
        if self.family != "offer":
            self._fill("start.say", left - (self.page.words - start) - 10)

    def _step(self, section: Section, budget: int) -> None:
        """One step of a guide as a section of its own, the first preceded by the list of all."""
        number = int(section.arg)
        lead, text = self._plan[(number - 1) * len(self._plan) // max(self.step_count, 1)]
        start = self.page.words
        if number == 1:
            self._opening("steps", budget)
            stride = [
                self._plan[n * len(self._plan) // self.step_count][0]
                for n in range(self.step_count)
            ]
            self.page.listing("ol", stride)
        self.page.heading(2, f"Step {number}: {lead}")
        pool = ("fit", "start", "quality", "time", "daily", "measure", "options", "future")[
            (number - 1) % 8
        ]
        self._fill(f"{pool}.say", budget - (self.page.words - start), text)

    def _item(self, section: Section, budget: int) -> None:
        number = int(section.arg)
        name, text = self._items[(number - 1) % len(self._items)]
        self.page.heading(2, f"{number}. {name}")
        opening = text
        if budget > 40:
            opening += " " + self.voice.say("lead.item")
        pools_of_item = ("people", "quality", "cost", "daily", "fit", "limits", "care", "options")
        self._fill(f"{pools_of_item[number % 8]}.say", budget - 4, opening)

    def _names(self, section: Section, budget: int) -> None:
        """All entries of a listicle; explained here when they get no sections of their own."""
        count = int(section.arg)
        entries = [self._items[n % len(self._items)] for n in range(count)]
        if budget >= 20:
            self.page.heading(2, self.voice.heading("head.names"))
        if self.item_count == 0 and self.words >= count * _ENTRY_WORDS:
            items = [f"<strong>{name}</strong>: {text}" for name, text in entries]
        else:
            items = [name for name, _ in entries]
        self.page.listing("ol", items)

    def _option(self, section: Section, budget: int) -> None:
        first = section.arg == "1"
        name = self.voice.subject.options[0 if first else 1]
        self.page.heading(2, self.voice.heading("option.heads", item=name))
        start = self.page.words
        points = self.voice.entries("pros", 3 if budget < 160 else 4)
        if budget >= 60:
            text_words = max(budget - 45, 15)
            self._fill(
                "value.say" if first else "options.say",
                text_words,
                self.voice.say("lead.option", item=name),
            )
        self.page.listing("ul", [lead for lead, _ in points])
        self._fill("limits.say", budget - (self.page.words - start))

    def _hub(self, section: Section, budget: int) -> None:
        keywords = self.voice.subject.keywords
        keyword = keywords[(int(section.arg) - 1) % len(keywords)]
        self.voice.focus(keyword)
        self.page.heading(2, self.voice.heading("head.hub", keyword=keyword))
        self._fill("options.say", budget, self.voice.say("keyword"))
        self.voice.focus(None)

    def _pros(self, _section: Section, budget: int) -> None:
        left = self._opening("pros", budget)
        count = max(2, min(6, left // 22))
        for title, pool in (("Strengths", "pros"), ("Weaknesses", "cons")):
            self.page.heading(3, title)
            self.page.listing("ul", [lead for lead, _ in self.voice.entries(pool, count)])

    def _faq(self, _section: Section, budget: int) -> None:
        left = self._opening("faq", budget)
        for question, answer in self.voice.entries("faq", max(2, min(14, left // 38))):
            self.page.heading(3, question)
            self.page.paragraph(answer)

    def _table(self, _section: Section, budget: int) -> None:
        left = self._opening("table", budget)
        rows = max(3, min(7, left // 11))
        comparing = self.family == "comparison"
        names = self.voice.subject.options if comparing else ("the simple way", "the thorough way")
        cells = zip(
            pools()["criteria"], pools()["grades.first"], pools()["grades.second"], strict=True
        )
        head = ("Point", *(capital(escaped(name)) for name in names))
        self.page.table(head, list(cells)[:rows])

    def _end(self, _section: Section, budget: int) -> None:
        """The ending fits its last sentences so that the whole article comes out at the target."""
        start = self.page.words
        self.page.heading(2, self.voice.heading(self._family_pool("head.end")))
        special = f"end.{self.family}"
        queue = self.voice.candidates(special) if special in pools() else []
        queue += self.voice.candidates("end.say")
        sentences: list[str] = []
        left = budget - (self.page.words - start)
        while queue and left >= 3:
            fitting = [s for s in queue if words_in(s) <= left + 3]
            if not fitting:
                break
            best = fitting[0] if left > 40 else min(fitting, key=lambda s: abs(left - words_in(s)))
            queue.remove(best)
            sentences.append(best)
            left -= words_in(best)
        if len(sentences) > 1 and budget < 60:
            sentences.sort(key=words_in, reverse=True)
        for n in range(0, len(sentences), 4):
            self.page.paragraph(*sentences[n : n + 4])
