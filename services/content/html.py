"""Untrusted HTML made safe. The one allow-list of the whole system.

What passes here may be stored and shown; what a model or an import says otherwise is gone.
"""

from __future__ import annotations

import html
import re

import nh3

SANITIZER_VERSION = "2"
"""Goes into the provenance of every text; raise it when what passes changes."""

# Pictures are ours and are placed by id, so img is not here: a model's own could track readers.
TAGS = frozenset(
    {
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "p",
        "br",
        "hr",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "strong",
        "em",
        "b",
        "i",
        "u",
        "s",
        "sub",
        "sup",
        "mark",
        "small",
        "abbr",
        "blockquote",
        "q",
        "cite",
        "code",
        "pre",
        "kbd",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "a",
    }
)
INLINE_TAGS = frozenset(
    {
        "strong",
        "em",
        "b",
        "i",
        "u",
        "s",
        "sub",
        "sup",
        "mark",
        "small",
        "abbr",
        "q",
        "cite",
        "code",
        "kbd",
        "a",
    }
)
"""Those that may stand in the middle of a word; every other one ends it."""
ATTRIBUTES = {
    "a": {"href", "title"},
    "abbr": {"title"},
    "th": {"colspan", "rowspan", "scope"},
    "td": {"colspan", "rowspan"},
    "ol": {"start"},
}
TEXT_TAGS = TAGS | {
    "h1",
    "div",
    "span",
    "font",
    "center",
    "big",
    "strike",
    "del",
    "ins",
    "img",
    "script",
    "style",
    "svg",
    "math",
    "iframe",
    "template",
    "noscript",
    "textarea",
    "xmp",
    "plaintext",
    "title",
}
"""Elements that are markup in a line of text even without attributes: those that format text,
and those that swallow what follows them. Others may well be meant: List<Object>, <button>."""
URL_SCHEMES = frozenset({"http", "https", "mailto"})
ESCAPES_MAX = 3
"""How often text may have been escaped before tags in it count as text."""
NESTED_MAX = 4
"""How often markup may come together where other markup was taken out."""
TEXT_CHARS_MAX = 10_000
"""More than this is not one line of text; what follows is not even looked at."""
LINK_REL = "nofollow noopener noreferrer"

_SPACE = re.compile(r"\s+")
# None begins inside another of its kind, or a text full of beginnings would be read many times.
_CODE = re.compile(
    r"<!--(?:(?!<!--).)*?-->|<(script|style)\b[^<>]*>(?:(?!<\1\b).)*?</\1\s*>",
    re.IGNORECASE | re.DOTALL,
)
_TAG = re.compile(rf"</?(?:{'|'.join(sorted(TEXT_TAGS))})\s*/?>", re.IGNORECASE)
# With attributes every element can act, whatever its name and even if it is never closed.
_ACTIVE_TAG = re.compile(
    r"<[a-z][^\s<>=/]*(?:[\s/][^<>=]*=[^<>]*>|[\s/]+[^\s<>=/]+\s?=[^<>]*$)", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean_html(untrusted: str) -> str:
    """Only what is on the allow-list; cleaning the result again changes nothing."""
    safe = nh3.clean(
        _CONTROL.sub("", untrusted),
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        url_schemes=set(URL_SCHEMES),
        link_rel=LINK_REL,
        clean_content_tags={"script", "style", "template", "noscript", "iframe", "svg", "math"},
    )
    # Once more, because `&#1;` was none before.
    return _CONTROL.sub("", safe).strip()


def clean_text(untrusted: str, chars_max: int) -> str:
    """One line of plain text: no markup, no control characters, at most `chars_max` characters.

    Markup that was escaped, even twice, is gone as well: not everybody who shows a title
    escapes it, as they must. What only looks like markup stays: List<T>, a<b and c>d.
    """
    plain = _SPACE.sub(" ", _CONTROL.sub("", untrusted))[:TEXT_CHARS_MAX]
    for _ in range(ESCAPES_MAX):
        plain = html.unescape(_without_markup(plain))
    return _SPACE.sub(" ", _without_markup(plain)).strip()[:chars_max].rstrip()


def _without_markup(text: str) -> str:
    for _ in range(NESTED_MAX):
        before, text = text, _ACTIVE_TAG.sub("", _TAG.sub("", _CODE.sub("", text)))
        if text == before:
            break
    return text
