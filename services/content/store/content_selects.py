"""Statements that read contents, built once for each sight and each set of filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Select, bindparam, null, or_, select

from chassis.pages import KEPT_MAX
from chassis.statements import rows_as_json
from chassis.tenancy import Sight, seen
from services.content.schema import clusters, content_terms, contents, taxonomies


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFilter:
    """Which contents a list is about; empty values do not filter."""

    equal: Mapping[str, str]
    """Column name to wanted value."""
    taxonomy_term_id: str = ""
    search: str = ""


# For one content in one statement. A page would also look for the terms of what it skips.
_TERMS = (
    select(
        rows_as_json(
            taxonomies.c.id, taxonomies.c.name, taxonomies.c.slug, taxonomies.c.taxonomy_type
        )
    )
    .select_from(
        content_terms.join(
            taxonomies,
            (taxonomies.c.account_id == content_terms.c.account_id)
            & (taxonomies.c.id == content_terms.c.taxonomy_id),
        )
    )
    .where(
        content_terms.c.account_id == contents.c.account_id,
        content_terms.c.content_id == contents.c.id,
    )
    .scalar_subquery()
)


@cache
def _columns(*, full: bool) -> Select[Any]:
    """Contents with the names of their clusters, with the body or with null in its place."""
    body = contents.c.content_html if full else null().label("content_html")
    others = [column for column in contents.c if column.name != "content_html"]
    joined = contents.outerjoin(
        clusters,
        (clusters.c.account_id == contents.c.account_id) & (clusters.c.id == contents.c.cluster_id),
    )
    return select(*others, body, clusters.c.name.label("cluster_name")).select_from(joined)


@cache
def content_by_id(sight: Sight) -> Select[Any]:
    """With its terms. Built once for each sight: building it costs more than running it."""
    return (
        _columns(full=True)
        .add_columns(_TERMS.label("terms"))
        .where(
            *seen(contents, sight),
            contents.c.delete_time.is_(None),
            contents.c.id == bindparam("content_id"),
        )
    )


@lru_cache(maxsize=KEPT_MAX)
def listed_contents(sight: Sight, filters: tuple[str, ...], *, full: bool) -> Select[Any]:
    """Live contents, filtered by these columns; each is a parameter of its own name."""
    return _columns(full=full).where(
        *seen(contents, sight),
        contents.c.delete_time.is_(None),
        *(contents.c[name] == bindparam(name) for name in filters),
    )


def filtered(statement: Select[Any], wanted: ContentFilter) -> Select[Any]:
    """The filters that are more than a column's value; the statement itself without any."""
    if wanted.taxonomy_term_id:
        statement = statement.where(
            select(content_terms.c.content_id)
            .where(
                content_terms.c.account_id == contents.c.account_id,
                content_terms.c.content_id == contents.c.id,
                content_terms.c.taxonomy_id == wanted.taxonomy_term_id,
            )
            .exists()
        )
    if wanted.search:
        statement = statement.where(
            or_(
                contents.c.title.icontains(wanted.search, autoescape=True),
                contents.c.primary_keyword.icontains(wanted.search, autoescape=True),
            )
        )
    return statement
