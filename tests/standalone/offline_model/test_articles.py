"""The article: its length, its tags, its words, and that it does not repeat itself."""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import replace

import pytest

from standalone.offline_model.article.writer import write_article
from standalone.offline_model.briefs import Brief

ALLOWED_TAGS = {
    *("h2", "h3", "p", "ul", "ol", "li", "strong", "em", "blockquote"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
STRUCTURES = (
    *("article", "guide", "comparison", "review", "listicle", "landing_page", "business_page"),
    *("service_page", "general", "cluster_hub", "product_page", "category_archive"),
    *("tag_archive", "attribute_archive"),
)
DESK = Brief(
    title="How to Choose a Standing Desk for a Small Home Office",
    description="For people in small apartments. Cover desk height, stability, cable management.",
    keywords=("standing desk", "small home office desk", "desk height"),
    content_structure="article",
    cluster="Home office furniture",
)
TITLES = (
    "10 ways to save water at home",
    "Is a heat pump worth it?",
    "Heat pump vs. gas boiler: which is cheaper?",
    "ErgoRise 200 review",
    "The ultimate guide to cold brew coffee",
    "What is a burr grinder?",
    "Ärger mit dem Vermieter",
    "東京の静かなカフェ",
    "x",
    "]]>{title}<script>alert(1)</script>",
)


def text_of(content_html: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", content_html))


def headings_of(content_html: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", content_html)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("words", [150, 300, 1000, 3000, 10_000])
def test_an_article_has_about_the_asked_number_of_words(structure: str, words: int) -> None:
    article = write_article(replace(DESK, content_structure=structure, word_count=words))
    assert len(text_of(article.content_html).split()) == pytest.approx(words, rel=0.1)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_has_headings_and_both_kinds_of_list(structure: str) -> None:
    body = write_article(replace(DESK, content_structure=structure, word_count=600)).content_html
    tags = re.findall(r"<(\w+)>", body)
    assert set(tags) <= ALLOWED_TAGS
    assert {"h2", "p", "ul", "ol", "li"} <= set(tags)
    assert Counter(tags) == Counter(re.findall(r"</(\w+)>", body))


def test_different_structures_have_different_outlines() -> None:
    outlines = {
        tuple(headings_of(write_article(replace(DESK, content_structure=name)).content_html))
        for name in ("article", "guide", "comparison", "review", "listicle", "product_page")
    }
    assert len(outlines) == 6


@pytest.mark.parametrize(("words", "most"), [(1000, 1), (3000, 2), (10_000, 4)])
def test_hardly_any_sentence_is_said_twice(words: int, most: int) -> None:
    body = write_article(replace(DESK, word_count=words)).content_html
    paragraphs = " ".join(re.findall(r"<p>(.*?)</p>", body))
    said = Counter(s for s in re.split(r"(?<=[.!?])\s+", paragraphs) if len(s.split()) > 3)
    assert said.most_common(1)[0][1] <= most, said.most_common(3)


def test_headings_and_text_speak_of_the_brief() -> None:
    article = write_article(replace(DESK, word_count=1000))
    headings = headings_of(article.content_html)
    assert sum("standing desk" in heading.lower() for heading in headings) >= len(headings) / 4
    text = text_of(article.content_html).lower()
    for phrase in ("standing desk", "small apartments", "stability", "home office furniture"):
        assert phrase in text
    assert "choosing a standing desk for a small home office" in text


def test_a_listicle_has_as_many_entries_as_its_title_says() -> None:
    brief = Brief(
        "7 best coffee grinders for beginners",
        keywords=("coffee grinder",),
        content_structure="listicle",
        word_count=900,
    )
    headings = headings_of(write_article(brief).content_html)
    numbered = [heading for heading in headings if re.match(r"\d+\. ", heading)]
    assert len(numbered) == len(set(numbered)) == 7


def test_a_comparison_compares_what_its_title_names() -> None:
    brief = Brief("Heat pump vs. gas boiler: which is cheaper?", content_structure="comparison")
    body = write_article(brief).content_html
    assert "<th>Heat pumps </th><th>Gas boilers </th>" in body


def test_the_same_brief_gives_the_same_article_and_another_one_another() -> None:
    assert write_article(DESK) == write_article(DESK)
    other = write_article(replace(DESK, description="For schools."))
    assert other.content_html != write_article(DESK).content_html


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("structure", ["listicle", "comparison", "cluster_hub", "guide"])
def test_any_title_makes_an_article_and_is_escaped_in_it(title: str, structure: str) -> None:
    article = write_article(Brief(title, content_structure=structure, word_count=500))
    assert article.title == title
    assert len(article.meta_title) <= 70
    assert len(article.meta_description) <= 160
    assert set(re.findall(r"<(\w+)", article.content_html)) <= ALLOWED_TAGS
    assert len(text_of(article.content_html).split()) == pytest.approx(500, rel=0.1)


def test_the_title_keeps_a_marker_and_the_text_does_not_show_it() -> None:
    title = "Standing desks [[offline:image:error*1]] for all"
    article = write_article(Brief(title, keywords=("desk",)))
    assert article.title == title
    for text in (article.meta_title, article.meta_description, article.excerpt):
        assert "[[" not in text
    assert "[[" not in article.content_html
