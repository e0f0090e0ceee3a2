"""Statements that read contents, built once for each sight and each set of filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Row, Select, bindparam, func, null, or_, select

from chassis.pages import KEPT_MAX
from chassis.statements import rows_as_json
from chassis.tenancy import Sight, seen
from services.content.domain import Content, TermReference
from services.content.schema import clusters, content_terms, contents, taxonomies


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFilter:
    """Which contents a list is about; empty values do not filter."""

    equal: Mapping[str, str]
    """Column name to wanted value."""
    taxonomy_term_id: str = ""
    search: str = ""


def terms_of(content: FromClause) -> ColumnElement[Any]:
    """All terms of a row of contents as one value: a list of their id, name, slug and type."""
    return (
        select(rows_as_json(*(taxonomies.c[name] for name in TermReference._fields)))
        .select_from(
            content_terms.join(
                taxonomies,
                (taxonomies.c.account_id == content_terms.c.account_id)
                & (taxonomies.c.id == content_terms.c.taxonomy_id),
            )
        )
        .where(
            content_terms.c.account_id == content.c.account_id,
            content_terms.c.content_id == content.c.id,
        )
        .scalar_subquery()
        .label("terms")
    )


@cache
def _columns(*, full: bool) -> Select[Any]:
    """What a content is made of but for its terms; with the body or with null in its place."""
    others = {
        "cluster_name": func.coalesce(clusters.c.name, "").label("cluster_name"),
        "content_html": contents.c.content_html if full else null().label("content_html"),
    }
    names = [name for name in Content._fields if name != "terms"]
    joined = contents.outerjoin(
        clusters,
        (clusters.c.account_id == contents.c.account_id) & (clusters.c.id == contents.c.cluster_id),
    )
    columns = [others[name] if name in others else contents.c[name] for name in names]
    return select(contents.c.account_id, *columns).select_from(joined)


def content_from_row(row: Row[Any]) -> Content:
    """The content: its account stands before it, then every field in its order with the terms
    last, and behind it may stand a page's total."""
    return Content._make(row[1 : len(Content._fields) + 1])


@cache
def content_by_id(sight: Sight) -> Select[Any]:
    """With its terms. Built once for each sight: building it costs more than running it."""
    return (
        _columns(full=True)
        .add_columns(terms_of(contents))
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
