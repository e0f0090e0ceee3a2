"""Lists by page: opaque tokens that continue by key, page numbers by offset, one total.

A token is bound to the filters and the order it was made for, and damage shows. It grants
nothing: the tenant conditions are in the statement whatever the token says. Texts are ordered
by code point on every database.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import ColumnElement, Connection, Row, Select, String, and_, func, or_, select

from chassis.errors import InvalidFields, PageTokenInvalid, Violation

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100
COUNTED_MAX = 10_000 + PAGE_SIZE_MAX + 1
"""Rows that a bounded count looks at: what page numbers reach, and one that says there is more."""
TOKEN_BYTES_MAX = 8_192
"""An unpacked token: a sorted text of 500 characters, escaped, and its surroundings."""
_TOTAL = "rows_of_all_pages"
_INT_MAX = 2**31 - 1
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
    count_max: int | None = None,
) -> Page:
    """Reads one page of `statement`, ordered by a sortable column and then by `tie`.

    `statement` must select the sort columns under their own names. With `count_max` the total
    stops there, so that a long history costs no more than a short one. Raises InvalidFields
    for an unknown order and PageTokenInvalid for a token of another list.
    """
    column, descending = _order(query.order_by or default, sortable)
    # One column, so that an index may answer alone.
    matching = statement.order_by(None).with_only_columns(tie, maintain_column_froms=True)
    counted = select(func.count()).select_from(matching.limit(count_max).subquery())
    by = _by_code_point(connection, column)
    ordered = statement.order_by(*((c.desc() if descending else c.asc()) for c in (by, tie)))
    if query.token:
        value, last = _read_token(query, column)
        ordered = ordered.where(_after(by, tie, value, last, descending=descending))
    # One statement, so that a page and its total agree by themselves.
    page = ordered.add_columns(counted.scalar_subquery().label(_TOTAL))
    rows = connection.execute(page.offset(query.skip).limit(query.size + 1)).all()
    total = getattr(rows[0], _TOTAL) if rows else connection.execute(counted).scalar_one()
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


def _by_code_point(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column in SQLite's order, whatever the collation of a PostgreSQL database is."""
    if connection.dialect.name == "postgresql" and isinstance(column.type, String):
        return column.collate("C")
    return column


def _after(
    column: ColumnElement[Any], tie: ColumnElement[Any], value: Any, last: str, *, descending: bool
) -> ColumnElement[bool]:
    # The range comes first and alone: an index seeks to it, however deep the page lies.
    if descending:
        return and_(column <= value, or_(column < value, tie < last))
    return and_(column >= value, or_(column > value, tie > last))


def _write_token(
    query: PageQuery,
    row: Mapping[Any, Any],
    column: ColumnElement[Any],
    tie: ColumnElement[Any],
) -> str:
    value = row[column]
    place = [value.isoformat() if isinstance(value, datetime) else value, row[tie]]
    document = json.dumps([_seal(query, place), *place], ensure_ascii=False, separators=(",", ":"))
    # Packed, because a long title would not fit into the field otherwise.
    return base64.urlsafe_b64encode(zlib.compress(document.encode())).rstrip(b"=").decode()


def _read_token(query: PageQuery, column: ColumnElement[Any]) -> tuple[Any, str]:
    """Where the page before ended. Raises PageTokenInvalid for all that we did not write.

    The seal is no secret: who makes a token gets another page of the same list, but no value
    of another type may reach the database.
    """
    try:
        seal, value, last = json.loads(_unpacked(query.token))
        intact = seal == _seal(query, [value, last])
        if column.type.python_type is datetime:
            value = datetime.fromisoformat(value).astimezone(UTC)
        well_typed = type(value) is column.type.python_type and isinstance(last, str)
        if isinstance(value, int):
            well_typed = well_typed and abs(value) <= _INT_MAX
        storable = "\0" not in f"{value}{last}" and f"{value}{last}".encode()
    except (ValueError, TypeError, OverflowError, RecursionError, zlib.error) as error:
        raise PageTokenInvalid from error
    if not (intact and well_typed and storable):
        raise PageTokenInvalid
    return value, last


def _seal(query: PageQuery, place: list[Any]) -> str:
    return hashlib.sha256(f"{query.fingerprint}{place}".encode()).hexdigest()[:16]


def _unpacked(token: str) -> bytes:
    packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    unpack = zlib.decompressobj()
    document = unpack.decompress(packed, TOKEN_BYTES_MAX)
    if not unpack.eof or unpack.unused_data:
        raise ValueError("the token is cut, too long or continued")
    return document
