"""The words of a text, which are what is charged: counted as a reader would count them.

Tags around letters do not part a word, elements that stand on their own do.
"""

from __future__ import annotations

import html
import re
import unicodedata

import nh3

from services.content.html import INLINE_TAGS

_STANDS_ALONE = re.compile(rf"<(?!/?(?:{'|'.join(sorted(INLINE_TAGS))})[\s/>])")
# Numbers keep their signs, and words what joins them: 3.14, 10:30, 1,000, isn't, well-known, e.g.
_RUN = re.compile("\\w+(?:[-\u2010\u2011'\u2019.\u00b7]\\w+|(?<=\\d)[,:](?=\\d)\\w+)*")
_ZERO_WIDTH_SPACE = "\u200b"


def text_of(safe_html: str) -> str:
    """The text between the tags; what stands in paragraphs, cells or lines of its own is apart."""
    return html.unescape(nh3.clean(_STANDS_ALONE.sub(" <", safe_html), tags=set()))


def count_words(safe_html: str) -> int:
    """Words in the text; a word has a letter or a digit."""
    text = _plain(text_of(safe_html))
    return sum(1 for run in _RUN.findall(text) if any(map(str.isalnum, run)))


def _plain(text: str) -> str:
    """The text without accents, vowel signs and joiners, which belong to the letter before."""
    composed = unicodedata.normalize("NFC", text.replace(_ZERO_WIDTH_SPACE, " "))
    return "".join(each for each in composed if not _is_mark(each))


def _is_mark(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character) in {"Mn", "Mc", "Me", "Cf"}
