"""The counting of words, which decides what a text costs."""

import pytest

from chassis import clock
from services.content.html import INLINE_TAGS, TAGS
from services.content.words import count_words


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("", 0),
        ("<p></p>", 0),
        ("<p>one</p><p>two</p>", 2),
        ("<ul><li>a</li><li>b</li></ul>", 2),
        ("<p>it\u2019s well-known, isn't it?</p>", 4),
        ("<p>fish &amp; chips</p>", 2),
        ("<p>\u00fcber 3.5 Z\u00fcge, 1,000 or 10:30</p>", 6),
        ("<p>one,two (three) four/five six\u2014seven</p>", 7),
        ("<p>one<br>two</p>", 2),
        ("<table><tr><th>a</th><td>b</td><td>c</td></tr></table>", 3),
    ],
)
def test_words_are_counted_between_elements_that_stand_alone(html, words):
    assert count_words(html) == words


@pytest.mark.parametrize("tag", sorted(INLINE_TAGS))
def test_a_tag_in_the_middle_of_a_word_does_not_part_it(tag):
    assert count_words(f"<p>un<{tag}>believ</{tag}>able <{tag} title='<p'>twice</{tag}></p>") == 2


@pytest.mark.parametrize("tag", sorted(TAGS - INLINE_TAGS))
def test_every_other_tag_parts_words(tag):
    assert count_words(f"one<{tag}>two</{tag}>") == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("un<strong>believ</strong>able do<em>n</em>'t foo_bar _ __ 3.14", 4),
        ("a _-_ b \u2013 \u2026 * ' . c", 3),
    ],
)
def test_a_word_needs_a_letter_or_a_digit(text, words):
    assert count_words(f"<p>{text}</p>") == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("cafe\u0301 u\u0308ber", 2, id="accents of their own"),
        pytest.param("हिन्दी भाषा", 2, id="Hindi"),
        pytest.param(
            "\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f", 1, id="Arabic, with vowels"
        ),
        pytest.param("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", 1, id="Persian, a joiner"),
        pytest.param("un\u00adbeliev\u00adable", 1, id="soft hyphens"),
        pytest.param("한국어 단어", 2, id="Korean"),
    ],
)
def test_signs_above_below_and_between_letters_do_not_part_a_word(text, words):
    assert count_words(f"<p>{text}</p>") == words


@pytest.mark.parametrize("text", ["_" * 400_000, "a." * 200_000, "<" * 50_000, "-" * 400_000])
def test_counting_takes_time_in_proportion_to_the_text(text):
    began = clock.elapsed_s()
    count_words(text)
    assert clock.elapsed_s() - began < 5


HAN, KANA, THAI = (
    "咖啡机",
    "コーひいの",
    "กาแฟนมด",
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(HAN * 10, 20, id="three Chinese characters are two words"),
        pytest.param(KANA * 10, 20, id="five kana are two words"),
        pytest.param((HAN + KANA) * 10, 40, id="Japanese has both"),
        pytest.param(THAI * 10, 20, id="Thai"),
        pytest.param("ดี", 1, id="signs above Thai letters do not count"),
        pytest.param("ລາວແກນມ" * 10, 20, id="Lao"),
        pytest.param("ကာဖီအတကနမ" * 10, 20, id="Burmese"),
        pytest.param("កាហ្វេកមរត" * 10, 20, id="Khmer"),
        pytest.param("我", 1, id="one character is a word"),
        pytest.param(f"{HAN}Python 3.14\uff0cRust{HAN}。", 7, id="Latin words between"),
    ],
)
def test_scripts_without_spaces_are_counted_by_their_letters(text, words):
    assert count_words(f"<p>{text}</p>") == words
