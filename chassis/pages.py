"""Lists by page: opaque tokens that continue by key, page numbers by offset, one total.

A token is bound to the filters and the order it was made for. It grants nothing: the tenant
conditions are in the statement whatever the token says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select

from chassis.errors import InvalidFields, PageTokenInvalid, Violation

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100
_PAGE_FIELDS = ("page_size", "page_token", "skip")


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page of which list."""

    size: int
    token: str
    skip: int
    order_by: str
    fingerprint: str
    """Hash of the filters and the order."""

    @classmethod
    def of(cls, request: Message) -> PageQuery:
        """Reads the paging fields that every List request has."""
        rest = type(request)()
        rest.CopyFrom(request)
        for name in _PAGE_FIELDS:
            rest.ClearField(name)
        asked: Any = request
        size = asked.page_size or PAGE_SIZE_DEFAULT
        return cls(
            size=min(size, PAGE_SIZE_MAX),
            token=asked.page_token,
            skip=0 if asked.page_token else asked.skip,
            order_by=asked.order_by,
            fingerprint=hashlib.sha256(rest.SerializeToString(deterministic=True)).hexdigest()[:16],
        )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows."""

    rows: Sequence[Row[Any]]
    next_token: str
    """Empty on the last page."""
    total_size: int


def paginate(
    connection: Connection,
    statement: Select[Any],
    query: PageQuery,
    *,
    sortable: Mapping[str, ColumnElement[Any]],
    default: str,
    tie: ColumnElement[Any],
) -> Page:
    """Reads one page of `statement`, ordered by a sortable column and then by `tie`.

    `statement` must select the sort columns under their own names. Raises InvalidFields for an
    unknown order and PageTokenInvalid for a token of another list.
    """
    column, descending = _order(query.order_by or default, sortable)
    total = connection.execute(
        select(func.count()).select_from(statement.order_by(None).subquery())
    ).scalar_one()
    ordered = statement.order_by(*((c.desc() if descending else c.asc()) for c in (column, tie)))
    if query.token:
        value, last = _read_token(query)
        ordered = ordered.where(_after(column, tie, value, last, descending=descending))
    rows = connection.execute(ordered.offset(query.skip).limit(query.size + 1)).all()
    more = len(rows) > query.size
    rows = rows[: query.size]
    token = (
        _write_token(
            query,
            rows[-1]._mapping,  # noqa: SLF001  documented by SQLAlchemy
            column,
            tie,
        )
        if more
        else ""
    )
    return Page(rows=rows, next_token=token, total_size=total)


def _order(
    text: str, sortable: Mapping[str, ColumnElement[Any]]
) -> tuple[ColumnElement[Any], bool]:
    name = text.removeprefix("-")
    if name not in sortable:
        allowed = ", ".join(sorted(sortable))
        raise InvalidFields(Violation("order_by", f"must be one of {allowed}, or - before it"))
    return sortable[name], text.startswith("-")


def _after(
    column: ColumnElement[Any], tie: ColumnElement[Any], value: Any, last: str, *, descending: bool
) -> ColumnElement[bool]:
    if descending:
        return or_(column < value, and_(column == value, tie < last))
    return or_(column > value, and_(column == value, tie > last))


def _write_token(
    query: PageQuery,
    row: Mapping[Any, Any],
    column: ColumnElement[Any],
    tie: ColumnElement[Any],
) -> str:
    value = row[column]
    kind, text = ("t", value.isoformat()) if isinstance(value, datetime) else ("v", value)
    document = json.dumps([query.fingerprint, kind, text, row[tie]], separators=(",", ":"))
    return base64.urlsafe_b64encode(document.encode()).rstrip(b"=").decode()


def _read_token(query: PageQuery) -> tuple[Any, str]:
    try:
        padded = query.token + "=" * (-len(query.token) % 4)
        fingerprint, kind, value, last = json.loads(base64.urlsafe_b64decode(padded))
        if kind == "t":
            value = datetime.fromisoformat(value)
        well_formed = isinstance(last, str) and isinstance(value, str | int | datetime)
    except (ValueError, TypeError, binascii.Error) as error:
        raise PageTokenInvalid from error
    if fingerprint != query.fingerprint or not well_formed:
        raise PageTokenInvalid
    return value, last
