"""The words of a text, which are what is charged: counted as a reader would count them.

Tags around letters do not part a word, elements that stand on their own do. Scripts without
spaces are counted by their letters; UNSPACED says how many of them pass for a word.
"""

from __future__ import annotations

import html
import re
import unicodedata

import nh3

from services.content.html import INLINE_TAGS

UNSPACED = {
    # Chinese, and the kanji of Japanese.
    "[\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]": 1.5,
    # Hiragana and katakana; with kanji between them about two characters of Japanese a word.
    "[\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d]": 2.5,
    # Thai, Lao, Myanmar and Khmer, whose signs around a letter do not count.
    "[\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf"
    "\u1000-\u103f\u1050-\u109f\uaa60-\uaa7f\u1780-\u17d3\u17d7]": 3.5,
}
"""Letters of scripts that are written without spaces, and how many pass for one word.

The numbers are what translators reckon with when a text goes into English, rounded: what
matters is that an article costs about the same in every language.
"""
_UNSPACED = {re.compile(letters): count for letters, count in UNSPACED.items()}
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
    unspaced = 0.0
    for letter, letters_a_word in _UNSPACED.items():
        # A space in their place: a name in Latin letters between them is a word of its own.
        text, letters = letter.subn(" ", text)
        unspaced += letters / letters_a_word
    words = max(1, round(unspaced)) if unspaced else 0
    return words + sum(1 for run in _RUN.findall(text) if any(map(str.isalnum, run)))


def _plain(text: str) -> str:
    """The text without accents, vowel signs and joiners, which belong to the letter before."""
    composed = unicodedata.normalize("NFC", text.replace(_ZERO_WIDTH_SPACE, " "))
    return "".join(each for each in composed if not _is_mark(each))


def _is_mark(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character) in {"Mn", "Mc", "Me", "Cf"}
