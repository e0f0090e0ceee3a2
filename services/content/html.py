"""Untrusted HTML made safe. The one allow-list of the whole system.

What passes here may be stored and shown; what a model or an import says otherwise is gone.
"""

from __future__ import annotations

import html
import re

import nh3

SANITIZER_VERSION = "1"
"""Goes into the provenance of every text; raise it when the allow-list changes."""

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
URL_SCHEMES = frozenset({"http", "https", "mailto"})
ESCAPES_MAX = 3
"""How often text may have been escaped before tags in it count as text."""
LINK_REL = "nofollow noopener noreferrer"

_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean_html(untrusted: str) -> str:
    """Only what is on the allow-list; cleaning the result again changes nothing."""
    return nh3.clean(
        _CONTROL.sub("", untrusted),
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        url_schemes=set(URL_SCHEMES),
        link_rel=LINK_REL,
        clean_content_tags={"script", "style", "template", "noscript", "iframe", "svg", "math"},
    ).strip()


def clean_text(untrusted: str, chars_max: int) -> str:
    """One line of plain text: no tags, no control characters, at most `chars_max` characters.

    Tags that were escaped, even twice, are gone as well: not everybody who shows a title
    escapes it.
    """
    plain = _CONTROL.sub("", untrusted)
    for _ in range(ESCAPES_MAX):
        plain = html.unescape(nh3.clean(plain, tags=set()))
    return _SPACE.sub(" ", plain).strip()[:chars_max].rstrip()
