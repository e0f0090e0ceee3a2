"""What asking for an article takes: one answer in any language, and room enough for it."""

import json

import pytest
from support.provider import chunks, provider

from chassis.model import Model
from chassis.retry import RetryPolicy
from services.content.domain import Brief
from services.content.prompts import tokens_max
from services.content.providers.author import Author

WORDS = 300
ONCE = RetryPolicy(attempts_max=1, attempt_s=5)
SENTENCES = {
    # A sentence, and how many words a translator would reckon for it.
    "Chinese": ("咖啡机每个月都需要除垢 否则咖啡会变得很苦。", 13),
    "Japanese": ("コーヒーメーカーは毎月洗浄する必要があります。", 11),
    "Thai": ("คุณควรล้างเครื่องชงกาแฟทุกเดือน ", 7),
    "Lao": ("ທ່ານຄວນລ້າງເຄື່ອງຕົ້ມກາເຟທຸກເດືອນ ", 8),
    "Khmer": ("អ្នកគួរលាងម៉ាស៊ីនកាហ្វេរាល់ខែ។", 6),
    "Burmese": ("ကော်ဖီစက်ကိုလတိုင်းသန့်ရှင်းပါ။", 5),
}


def article(html):
    texts = dict.fromkeys(["meta_title", "meta_description", "primary_keyword", "excerpt"], "")
    lists = {name: [] for name in ("secondary_keywords", "categories", "tags")}
    return json.dumps({"title": "x", "content_html": html} | texts | lists, ensure_ascii=False)


def brief():
    texts = dict.fromkeys(Brief.__dataclass_fields__, "")
    return Brief(**texts | {"word_count": WORDS})


@pytest.mark.parametrize("language", SENTENCES)
async def test_an_article_without_spaces_is_accepted_at_its_first_answer(language):
    sentence, words = SENTENCES[language]
    html = f"<p>{sentence * (WORDS // words)}</p>"
    async with provider(chunks(article(html))) as asked:
        model = Model(base_url=asked.url, api_key="key", policy=ONCE)
        written = await Author(model, "a-model").write(brief())
        await model.close()
    assert written.word_count == pytest.approx(WORDS, rel=0.3)
    assert len(asked.asked) == 1


def test_there_is_room_to_think_before_a_short_text_and_for_a_long_one():
    assert tokens_max(100) >= 6_000
    # More than many models give; an article of the usual length stays below.
    assert tokens_max(1_000) <= 16_000
    assert tokens_max(10_000) >= 40_000
