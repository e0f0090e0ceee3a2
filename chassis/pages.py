"""Lists by page: opaque tokens that continue by key, page numbers by offset, one total.

A token is bound to the account, the filters and the order it was made for, and damage shows. It
grants nothing: the tenant conditions are in the statement whatever the token says. Texts are
ordered by code point on every database.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from google.protobuf.message import Message
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    String,
    and_,
    bindparam,
    func,
    or_,
    select,
)

from chassis import caller
from chassis.errors import InvalidFields, PageTokenInvalid, Violation

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100
COUNTED_MAX = 10_000 + PAGE_SIZE_MAX + 1
"""Rows that a bounded count looks at: what page numbers reach, and one that says there is more."""
TOKEN_BYTES_MAX = 8_192
"""An unpacked token: a sorted text of 500 characters, escaped, and its surroundings."""
_PACK_WINDOW, _PACK_MEMORY = 10, 5
KEPT_MAX = 512
"""Statements of pages that are kept; a list has a few, by what it is filtered and ordered by."""
_TOTAL = "rows_of_all_pages"
_ROWS, _SKIP, _VALUE, _LAST = "page_rows", "page_skip", "page_value", "page_last"
_INT_MAX = 2**31 - 1
Beside = Callable[[FromClause], ColumnElement[Any]]
_PAGE_FIELDS = ("page_size", "page_token", "skip")


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page of which list."""

    size: int
    token: str
    skip: int
    order_by: str
    fingerprint: str
    """Hash of the account, the filters and the order."""

    @classmethod
    def of(cls, request: Message) -> PageQuery:
        """Reads the paging fields that every List request has."""
        rest = type(request)()
        rest.CopyFrom(request)
        for name in _PAGE_FIELDS:
            rest.ClearField(name)
        asked: Any = request
        bound = caller.account_of_call().encode() + rest.SerializeToString(deterministic=True)
        size = asked.page_size or PAGE_SIZE_DEFAULT
        return cls(
            size=min(size, PAGE_SIZE_MAX),
            token=asked.page_token,
            skip=0 if asked.page_token else asked.skip,
            order_by=asked.order_by,
            fingerprint=hashlib.sha256(bound).hexdigest()[:16],
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
    values: Mapping[str, object] | None = None,
    kept: bool = False,
    beside: Beside | None = None,
) -> Page:
    """Reads one page of `statement`, ordered by a sortable column and then by `tie`.

    `statement` must select the sort columns under their own names. With `count_max` the total
    stops there, so that a long history costs no more than a short one. `values` are those of the
    statement's parameters; `kept` says that the statement itself is always the same object, so
    that what is made of it is kept, too. `beside` makes a column of what belongs to a row in
    other tables; it is read for the rows of the page alone, not for those that it skips. Raises
    InvalidFields for an unknown order and PageTokenInvalid for a token of another list.
    """
    column, descending = _order(query.order_by or default, sortable)
    given = {**(values or {}), _ROWS: query.size + 1, _SKIP: query.skip}
    if query.token:
        given[_VALUE], given[_LAST] = _read_token(query, column)
    build = _built if kept else _built.__wrapped__
    page, counted = build(
        statement,
        column,
        tie,
        descending=descending,
        continued=bool(query.token),
        count_max=count_max,
        beside=beside,
        dialect=connection.dialect.name,
    )
    rows = connection.execute(page, given).all()
    if rows and count_max is None:
        total = getattr(rows[0], _TOTAL)
    else:
        total = connection.execute(counted, given).scalar_one()
    token = _write_token(query, rows[query.size - 1], column, tie) if rows[query.size :] else ""
    return Page(rows=rows[: query.size], next_token=token, total_size=total)


@lru_cache(maxsize=KEPT_MAX)
def _built(
    statement: Select[Any],
    column: ColumnElement[Any],
    tie: ColumnElement[Any],
    *,
    descending: bool,
    continued: bool,
    count_max: int | None,
    beside: Beside | None,
    dialect: str,
) -> tuple[Select[Any], Select[Any]]:
    """The statements of a page with its total, and of the total alone."""
    # One column, so that an index may answer alone.
    matching = statement.order_by(None).with_only_columns(tie, maintain_column_froms=True)
    counted = select(func.count()).select_from(matching.limit(count_max).subquery())
    page = _ordered(statement, column, tie, descending=descending, dialect=dialect)
    if continued:
        by = _by_code_point(dialect, column)
        page = page.where(_after(by, tie, descending=descending))
    page = page.offset(bindparam(_SKIP, type_=Integer)).limit(bindparam(_ROWS, type_=Integer))
    if beside is not None:
        rows = page.subquery("page")
        joined: Select[Any] = select(*rows.c, beside(rows))
        places = rows.c[column.name], rows.c[tie.name]
        page = _ordered(joined, *places, descending=descending, dialect=dialect)
    if count_max is None:
        # One statement, so that a page and its total agree by themselves. A bounded total only
        # says "many": it goes apart, where its way through the rows is no matter of the page's.
        page = page.add_columns(counted.scalar_subquery().label(_TOTAL))
    return page, counted


def _ordered(
    statement: Select[Any],
    column: ColumnElement[Any],
    tie: ColumnElement[Any],
    *,
    descending: bool,
    dialect: str,
) -> Select[Any]:
    places = _by_code_point(dialect, column), tie
    return statement.order_by(*((c.desc() if descending else c.asc()) for c in places))


def _order(
    text: str, sortable: Mapping[str, ColumnElement[Any]]
) -> tuple[ColumnElement[Any], bool]:
    name = text.removeprefix("-")
    if name not in sortable:
        allowed = ", ".join(sorted(sortable))
        raise InvalidFields(Violation("order_by", f"must be one of {allowed}, or - before it"))
    return sortable[name], text.startswith("-")


def _by_code_point(dialect: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column in SQLite's order, whatever the collation of a PostgreSQL database is."""
    if dialect == "postgresql" and isinstance(column.type, String):
        return column.collate("C")
    return column


def _after(
    column: ColumnElement[Any], tie: ColumnElement[Any], *, descending: bool
) -> ColumnElement[bool]:
    value = bindparam(_VALUE, type_=column.type)
    last = bindparam(_LAST, type_=tie.type)
    # The range comes first and alone: an index seeks to it, however deep the page lies.
    if descending:
        return and_(column <= value, or_(column < value, tie < last))
    return and_(column >= value, or_(column > value, tie > last))


def _write_token(
    query: PageQuery, row: Row[Any], column: ColumnElement[Any], tie: ColumnElement[Any]
) -> str:
    value, last = (row._mapping[each.name] for each in (column, tie))
    place = [value.isoformat() if isinstance(value, datetime) else value, last]
    # Packed, because a long title of rare letters would not fit into the field otherwise; not
    # with the usual 256 KB, because to clear them takes longer than to pack a place.
    pack = zlib.compressobj(wbits=_PACK_WINDOW, memLevel=_PACK_MEMORY)
    packed = pack.compress(orjson.dumps([_seal(query, place), *place])) + pack.flush()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _read_token(query: PageQuery, column: ColumnElement[Any]) -> tuple[Any, str]:
    """Where the page before ended. Raises PageTokenInvalid for all that we did not write.

    The seal is no secret: who makes a token gets another page of the same list, but no value
    of another type may reach the database.
    """
    try:
        seal, value, last = orjson.loads(_unpacked(query.token))
        intact = seal == _seal(query, [value, last])
        if column.type.python_type is datetime:
            value = datetime.fromisoformat(value).astimezone(UTC)
        well_typed = type(value) is column.type.python_type and isinstance(last, str)
        if isinstance(value, int):
            well_typed = well_typed and abs(value) <= _INT_MAX
        storable = "\0" not in f"{value}{last}" and f"{value}{last}".encode()
    except (ValueError, TypeError, OverflowError, zlib.error) as error:
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
