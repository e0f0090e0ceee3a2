"""Images, the sets that they are made in, and their rules; pure.

A set is the pictures of one content that are made together. Its counters decide when
nothing more will happen: generated + failed == total.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from html.parser import HTMLParser

NAME = "images"
"""Under this name the service calls others."""
IN_ARTICLE_COUNT = 2
"""Pictures in the text, beside the featured one."""
PROMPT_MAX_CHARS = 4_000
ALT_TEXT_MAX_CHARS = 300
CAPTION_MAX_CHARS = 300
HEADINGS_MAX = 20
HEADING_MAX_CHARS = 200

NOT_FOUND = "NOT_FOUND"
"""The content is gone."""
INTERNAL = "INTERNAL"
"""The work failed too often for a reason that nobody foresaw; the dead letter tells which."""

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Stage(StrEnum):
    """A stage of the pipeline, spelled as in the contract."""

    CONTENT = "content"
    IMAGE_PROMPTS = "image_prompts"
    IMAGES = "images"


class ImageType(StrEnum):
    """Where a picture is used."""

    FEATURED = "featured"
    DESKTOP = "desktop"
    MOBILE = "mobile"
    IN_ARTICLE = "in_article"


class ImageStatus(StrEnum):
    """How far a picture has got."""

    PENDING = "pending"
    GENERATED = "generated"
    FAILED = "failed"


class SetState(StrEnum):
    """What a set waits for."""

    PROMPTING = "prompting"
    """The prompts."""
    PROMPTED = "prompted"
    """Credits for the pictures; all rows are pending."""
    DRAWING = "drawing"
    """The pictures."""
    COMPLETED = "completed"
    """Nothing; rows that are still pending wait for a new order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOrder:
    """What a finished text asks for."""

    id: str
    content_id: str
    task_id: str
    generation_id: str
    run_id: str
    stop_after: Stage

    @property
    def wants_prompts(self) -> bool:
        """False when the run ends with the text."""
        return self.stop_after in (Stage.IMAGE_PROMPTS, Stage.IMAGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """The pictures of one content that are made together."""

    id: str
    account_id: str
    site_id: str
    sector_id: str
    content_id: str
    generation_id: str
    run_id: str
    request_id: str
    stop_after: Stage
    stage: Stage
    """The last stage that was reached."""
    state: SetState
    total: int
    generated: int
    failed: int
    has_featured: bool
    version: int
    reason: str

    @property
    def is_done(self) -> bool:
        """True when every picture is stored or given up."""
        return self.generated + self.failed == self.total


@dataclass(frozen=True, slots=True)
class Article:
    """What the model is told about the text."""

    title: str
    headings: tuple[str, ...]
    excerpt: str


@dataclass(frozen=True, slots=True)
class ImagePrompt:
    """What the model proposes for one slot."""

    image_type: ImageType
    position: int
    prompt: str
    alt_text: str
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The prompts of a whole set, and what they took."""

    prompts: tuple[ImagePrompt, ...]
    model: str
    prompt_version: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A checked picture: PNG without metadata."""

    png: bytes
    width: int
    height: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A picture, who drew it and what it took."""

    picture: Picture
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One picture: its prompt, and its file once it is made."""

    id: str
    account_id: str
    site_id: str
    sector_id: str
    content_id: str
    task_id: str
    image_set_id: str
    image_type: ImageType
    position: int
    prompt: str
    alt_text: str
    caption: str
    status: ImageStatus
    attempt: int
    """How often it was ordered, from 1; every attempt is paid for by itself."""
    storage_key: str
    width: int
    height: int
    bytes: int
    mime_type: str
    sha256: str
    reason: str
    provider: str
    model: str
    revision: int
    create_time: datetime
    update_time: datetime

    @property
    def reservation_key(self) -> str:
        """Names what is paid for: this attempt at this picture."""
        return f"image/{self.id}/{self.attempt}"


def prompts_reservation_key(set_id: str) -> str:
    """Names what is paid for: the prompts of this set."""
    return f"prompts/{set_id}"


def could_be_id(text: str) -> bool:
    """False for what cannot name anything here, such as paths and control characters."""
    return _ID.fullmatch(text) is not None


def clean_line(text: str, max_chars: int) -> str:
    """One line that every store and contract can hold, cut at a word where possible."""
    encodable = text.replace("\0", " ").encode("utf-8", "ignore").decode()
    line = " ".join("".join(c if c.isprintable() else " " for c in encodable).split())
    if len(line) <= max_chars:
        return line
    at_word = line[: max_chars + 1].rpartition(" ")[0]
    return at_word or line[:max_chars]


def headings_of(html: str) -> tuple[str, ...]:
    """The main headings of a text, in their order; at most HEADINGS_MAX."""
    reader = _HeadingReader()
    reader.feed(html)
    lines = (clean_line(heading, HEADING_MAX_CHARS) for heading in reader.found)
    return tuple(line for line in lines if line)[:HEADINGS_MAX]


class _HeadingReader(HTMLParser):
    """Collects the text of h2 and h3 elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """A heading begins."""
        if tag in ("h2", "h3"):
            self._inside = tag
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        """A heading ends."""
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        """Text, which counts only inside a heading."""
        if self._inside:
            self.found[-1] += data
