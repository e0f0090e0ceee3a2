"""Contents, terms and clusters, and the rules of their states. No I/O."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple

TITLE_CHARS_MAX = 500
EXCERPT_CHARS_MAX = 1000
META_TITLE_CHARS_MAX = 200
META_DESCRIPTION_CHARS_MAX = 500
KEYWORD_CHARS_MAX = 100
SECONDARY_KEYWORDS_MAX = 20
CATEGORIES_MAX = 3
TAGS_MAX = 10
TERM_CHARS_MAX = 200
SLUG_CHARS_MAX = 200


class ContentStatus(StrEnum):
    """How far a content is on its way to the public."""

    DRAFT = "draft"
    REVIEW = "review"
    PUBLISHED = "published"


class TaxonomyType(StrEnum):
    """The two kinds of term."""

    CATEGORY = "category"
    TAG = "tag"


class ClusterRole(StrEnum):
    """What a content is to its cluster."""

    HUB = "hub"
    SUPPORTING = "supporting"
    ATTRIBUTE = "attribute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What shall be written."""

    title: str
    description: str
    keywords: str
    content_type: str
    content_structure: str
    word_count: int
    prompt_override: str
    cluster_id: str
    taxonomy_term_id: str
    sector_name: str
    cluster_name: str = ""
    taxonomy_term_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """What a model wrote, cleaned and counted: safe to store and to show."""

    title: str
    content_html: str
    word_count: int
    excerpt: str
    meta_title: str
    meta_description: str
    primary_keyword: str
    secondary_keywords: tuple[str, ...]
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    model: str
    prompt_version: str
    sanitizer_version: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def provenance(self) -> dict[str, Any]:
        """Who and what made the text, as it is stored and shown."""
        return {
            "model": self.model,
            "prompt_version": self.prompt_version,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "sanitizer_version": self.sanitizer_version,
            "edited_by": "",
        }


class TermReference(NamedTuple):
    """A term as a content shows it: light, because a page of contents has hundreds."""

    id: str
    name: str
    slug: str
    taxonomy_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFlags:
    """The pictures of a content, counted by state."""

    has_featured: bool = False
    pending: int = 0
    generated: int = 0
    failed: int = 0


class Content(NamedTuple):
    """An article, a page or a product text.

    Flat and light, as it is read from its row: a page of a list has many.
    """

    id: str
    revision: int
    site_id: str
    sector_id: str
    sector_name: str
    title: str
    content_html: str | None
    """None in basic lists."""
    excerpt: str
    meta_title: str
    meta_description: str
    primary_keyword: str
    secondary_keywords: list[str]
    cluster_id: str
    cluster_name: str
    content_type: str
    content_structure: str
    external_id: str
    external_url: str
    external_type: str
    external_metadata: dict[str, Any]
    sync_status: str
    source: str
    status: str
    """One of ContentStatus."""
    word_count: int
    task_id: str
    generation_id: str
    has_featured: bool
    images_pending: int
    images_generated: int
    images_failed: int
    provenance: dict[str, Any]
    publish_time: datetime | None
    create_time: datetime
    update_time: datetime
    terms: list[list[str]]
    """Each as id, name, slug and type; in no order. The last field: a page selects them last."""

    @property
    def images(self) -> ImageFlags:
        """The pictures, counted by state."""
        return ImageFlags(
            has_featured=self.has_featured,
            pending=self.images_pending,
            generated=self.images_generated,
            failed=self.images_failed,
        )

    @property
    def categories(self) -> list[TermReference]:
        """By name."""
        return self._terms(TaxonomyType.CATEGORY)

    @property
    def tags(self) -> list[TermReference]:
        """By name."""
        return self._terms(TaxonomyType.TAG)

    def _terms(self, kind: TaxonomyType) -> list[TermReference]:
        found = [TermReference(*term) for term in self.terms if term[_TYPE] == kind]
        found.sort(key=_BY_NAME)
        return found


_TYPE = TermReference._fields.index("taxonomy_type")
_BY_NAME = attrgetter("name", "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One category or tag of a site."""

    id: str
    revision: int
    site_id: str
    sector_id: str
    name: str
    slug: str
    taxonomy_type: TaxonomyType
    parent_id: str
    description: str
    external_taxonomy: str
    external_id: str
    sync_status: str
    count: int
    metadata: dict[str, Any]
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A group of search terms that articles are written about."""

    id: str
    revision: int
    site_id: str
    sector_id: str
    name: str
    description: str
    status: str
    disabled: bool
    create_time: datetime
    update_time: datetime


def slug_of(name: str) -> str:
    """A slug for a name: lower case, words joined by hyphens; letters of any script stay.

    Empty only when the name has neither letters nor digits.
    """
    plain = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\W_]+", "-", plain).strip("-")[:SLUG_CHARS_MAX].strip("-")


def cluster_role(content_structure: str) -> ClusterRole:
    """What a content of this structure is to its cluster."""
    return ClusterRole.HUB if content_structure == "cluster_hub" else ClusterRole.SUPPORTING


def status_after_images(
    status: ContentStatus, flags: ImageFlags, *, complete: bool
) -> ContentStatus:
    """`draft` becomes `review` when all pictures are made; anything else stays as it is."""
    if complete and status is ContentStatus.DRAFT and flags.generated and not flags.failed:
        return ContentStatus.REVIEW
    return status
