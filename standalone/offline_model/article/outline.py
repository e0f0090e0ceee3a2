"""Which sections an article has, in which order, and how many words each may take."""

from __future__ import annotations

from dataclasses import dataclass

from standalone.offline_model.article.subject import Subject

# Words a section takes in an article of ordinary length.
_SIZES = {
    "intro": 65, "aspect": 120, "steps": 120, "step": 75, "mistakes": 100, "checklist": 85,
    "needs": 70, "faq": 140, "end": 60, "table": 75, "pros": 85, "benefits": 80, "glossary": 80,
    "item": 60, "option": 110, "hub": 110, "names": 30,
}  # fmt: skip
# Sections of running text take up whatever the target leaves; lists grow only so far.
_ELASTIC = frozenset({"aspect", "step", "item", "option", "hub", "end"})
_LIST_GROWTH_MAX = 2.2
# Below these an article has no room for the steps, sides or entries as sections of their own.
_FAMILY_WORDS_MIN = 150
_ITEM_WORDS_MIN = 45
_SPARE_ASPECTS = (
    "basics", "value", "fit", "options", "quality", "cost", "start", "daily", "time", "people",
    "limits", "care", "safety", "measure", "future",
)  # fmt: skip

# Per family: the order on the page; then what must not be missing, a bar, and the rest by rank.
_RECIPES = {
    "article": (
        "intro basics value table steps * mistakes checklist faq end",
        "intro steps mistakes end | basics value faq cost * checklist table",
    ),
    "guide": (
        "intro basics needs step: * mistakes table checklist faq end",
        "intro needs step:* end | faq mistakes basics checklist * table",
    ),
    "comparison": (
        "intro table option:1 option:2 * steps mistakes faq end",
        "intro option:1 option:2 steps end | table cost daily people faq * mistakes",
    ),
    "review": (
        "intro basics pros quality daily cost * table people steps faq end",
        "intro pros steps end | quality daily cost people faq table basics *",
    ),
    "listicle": (
        "intro names: item: * table checklist mistakes faq end",
        "intro item:* checklist end | fit mistakes faq table *",
    ),
    "offer": (
        "intro benefits value * steps people table faq end",
        "intro benefits steps end | value people faq fit cost quality time *",
    ),
    "product": (
        "intro benefits table quality daily * steps care faq end",
        "intro benefits steps end | table quality daily care faq fit cost people *",
    ),
    "hub": (
        "intro basics hub: * steps glossary mistakes faq end",
        "intro hub:* steps glossary end | basics faq options * mistakes",
    ),
    "archive": (
        "intro fit options * steps checklist faq end",
        "intro steps checklist end | fit options faq quality cost *",
    ),
}

_FAMILIES = {
    "guide": "guide", "comparison": "comparison", "review": "review", "listicle": "listicle",
    "landing_page": "offer", "business_page": "offer", "service_page": "offer",
    "product_page": "product", "cluster_hub": "hub",
    "category_archive": "archive", "tag_archive": "archive", "attribute_archive": "archive",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Section:
    """One section to write: `arg` is its number or the aspect it is about, `budget` its words."""

    kind: str
    arg: str
    budget: int

    @property
    def elastic(self) -> bool:
        """Whether running text may fill it as far as needed."""
        return self.kind in _ELASTIC


def family_of(content_structure: str) -> str:
    """The recipe for a content structure; unknown ones are written as articles."""
    return _FAMILIES.get(content_structure.strip().lower(), "article")


def outline(family: str, words: int, subject: Subject) -> list[Section]:
    """The sections for a target of so many words. Their budgets add up to about the target."""
    if words < _FAMILY_WORDS_MIN and family in ("guide", "comparison", "hub"):
        family = "article"
    order, wanted = (recipe.split() for recipe in _RECIPES[family])
    chosen: list[tuple[str, str]] = []
    taken = 0
    required = True
    for name in _expanded(wanted, words, subject):
        if name == "|":
            required = False
            continue
        kind, _, arg = name.partition(":")
        key = (kind, arg) if kind in _SIZES else ("aspect", kind)
        if key in chosen or (not required and taken + _SIZES[key[0]] > words):
            continue
        chosen.append(key)
        taken += _SIZES[key[0]]
    return _with_budgets(_in_order(chosen, order), words)


def _expanded(wanted: list[str], words: int, subject: Subject) -> list[str]:
    names: list[str] = []
    for name in wanted:
        if name == "*":
            names += _SPARE_ASPECTS
        elif name == "item:*":
            count = subject.item_count or max(3, min(12, words // 110))
            names.append(f"names:{count}")
            if words // count >= _ITEM_WORDS_MIN:
                names += [f"item:{n}" for n in range(1, count + 1)]
        elif name == "step:*":
            names += [f"step:{n}" for n in range(1, max(3, min(8, words // 150)) + 1)]
        elif name == "hub:*":
            names += [
                f"hub:{n}"
                for n in range(1, max(2, min(6, words // 160, len(subject.keywords))) + 1)
            ]
        else:
            names.append(name)
    return names


def _in_order(chosen: list[tuple[str, str]], order: list[str]) -> list[tuple[str, str]]:
    def place(key: tuple[str, str]) -> float:
        kind, arg = key
        for name in (f"{kind}:{arg}", f"{kind}:", arg if kind == "aspect" else kind):
            if name in order:
                return order.index(name)
        return order.index("*")

    return sorted(chosen, key=place)


def _with_budgets(keys: list[tuple[str, str]], words: int) -> list[Section]:
    total = sum(_SIZES[kind] for kind, _ in keys)
    growth = words / total
    fixed = {
        key: round(_SIZES[key[0]] * min(growth, _LIST_GROWTH_MAX))
        for key in keys
        if key[0] not in _ELASTIC
    }
    elastic = total - sum(_SIZES[kind] for kind, _ in fixed)
    rest = words - sum(fixed.values())
    return [
        Section(kind, arg, fixed.get((kind, arg)) or round(rest * _SIZES[kind] / elastic))
        for kind, arg in keys
    ]
