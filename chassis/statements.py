"""Statements that both databases have, but spell in their own dialects."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Executable,
    FromClause,
    String,
    Table,
    TextClause,
    and_,
    bindparam,
    insert,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from chassis.columns import JsonDocument

_T = TypeVar("_T")


def insert_if_absent(connection: Connection, table: Table, **values: Any) -> bool:
    """Inserts a row unless a unique key is in the way; tells whether it did.

    On PostgreSQL this waits for a concurrent transaction that holds the same key.
    """
    result = connection.execute(_if_absent(connection.dialect.name, table), values)
    return result.rowcount == 1


def insert_all_if_absent(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Inserts rows, each unless a unique key is in the way."""
    connection.execute(_if_absent(connection.dialect.name, table), rows)


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows that have all columns in one statement, for which triggers are called once.

    On PostgreSQL an execution with many rows is many statements.
    """
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), rows)
    else:
        connection.execute(_from_json(table), {"rows": orjson.dumps(rows).decode()})


@functools.cache
def _from_json(table: Table) -> TextClause:
    columns = ", ".join(column.name for column in table.columns)
    return text(
        f"INSERT INTO {table.name} ({columns}) SELECT {columns} "  # noqa: S608  our own names
        f"FROM jsonb_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows AS JSONB))"
    )


@functools.cache
def _if_absent(dialect: str, table: Table) -> Executable:
    # Made once: a statement that is made anew is also compiled, or at least looked up, anew.
    insert_into = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert_into(table).on_conflict_do_nothing()


def among(column: ColumnElement[str], parameter: str) -> ColumnElement[bool]:
    """Whether a column has one of many values: a parameter of that name, made by `values_for`.

    An array on PostgreSQL, where each parameter costs time in three places. SQLite seeks no
    index for what it would unpack from one parameter, so there it is as many as it holds.
    """
    return _Among(column, bindparam(parameter, type_=postgresql.ARRAY(String)))


def values_for(connection: Connection, values: Collection[_T]) -> list[_T]:
    """The parameter of `among`: on SQLite some are repeated, so that few lengths exist.

    SQLite prepares a statement anew for each number of values; one value more or less must
    not cost that. To PostgreSQL an array of any length is one value.
    """
    found = list(values)
    if connection.dialect.name != "sqlite":
        return found
    length = 1 << (len(found) - 1).bit_length() if found else 0
    return found + found[-1:] * (length - len(found))


def matching(table: Table, columns: Sequence[Column[Any]], parameter: str) -> FromClause:
    """Rows of a table whose columns have the values of one of many tuples of texts.

    The tuples come as one parameter, made by `as_tuples`, so that the statement is the same
    for any number; and as a join, because SQLite seeks no index for an IN over several columns.
    """
    wanted, texts = tuples(parameter, len(columns))
    fits = (column == each for column, each in zip(columns, texts, strict=True))
    return wanted.join(table, and_(*fits))


def tuples(parameter: str, width: int) -> tuple[FromClause, list[ColumnElement[str]]]:
    """Many tuples of so many texts as rows, and the texts of each."""
    wanted = _Elements(bindparam(parameter, type_=String())).table_valued("value")
    return wanted, [_Text(wanted.c.value, n) for n in range(width)]


def as_tuples(rows: Iterable[Sequence[str]]) -> str:
    """The parameter of `matching` and of `tuples`."""
    return json.dumps([list(row) for row in rows])


def rows_as_json(*columns: ColumnElement[Any]) -> ColumnElement[Any]:
    """All rows of a subquery as one JSON array of arrays, in no order; empty without rows."""
    return _Rows(*columns)


class _Among(FunctionElement[Any]):
    """A column and the parameter with its values. No Boolean: SQLite would compare that with 1."""

    name = "among"
    inherit_cache = True


class _Elements(FunctionElement[Any]):
    """The elements of a JSON array, as rows."""

    name = "elements"
    inherit_cache = True


class _Text(FunctionElement[str]):
    """The n-th element of a JSON array, as text."""

    type = String()
    name = "text"
    inherit_cache = True

    def __init__(self, array: ColumnElement[Any], index: int) -> None:
        super().__init__(array, index)


class _Rows(FunctionElement[Any]):
    """Aggregates rows into a JSON array."""

    type = JsonDocument()
    name = "rows"
    inherit_cache = True


@compiles(_Among, "sqlite")
def _among_sqlite(element: _Among, compiler: Any, **kwargs: Any) -> str:
    column, values = element.clauses
    found: str = compiler.process(column.in_(bindparam(values.key, expanding=True)), **kwargs)
    return found


@compiles(_Among, "postgresql")
def _among_postgresql(element: _Among, compiler: Any, **kwargs: Any) -> str:
    column, values = element.clauses
    return f"{compiler.process(column, **kwargs)} = ANY ({compiler.process(values, **kwargs)})"


@compiles(_Elements, "sqlite")
def _elements_sqlite(element: _Elements, compiler: Any, **kwargs: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **kwargs)})"


@compiles(_Elements, "postgresql")
def _elements_postgresql(element: _Elements, compiler: Any, **kwargs: Any) -> str:
    parameter = compiler.process(element.clauses, **kwargs)
    elements = f"SELECT jsonb_array_elements(CAST({parameter} AS JSONB))"
    # By way of an array, of which the planner expects ten elements: of a set it expects a
    # hundred, and reads whole tables rather than seek a hundred times.
    return f"(SELECT unnest(ARRAY({elements})) AS value)"


@compiles(_Text, "sqlite")
def _text_sqlite(element: _Text, compiler: Any, **kwargs: Any) -> str:
    array, index = element.clauses
    return f"json_extract({compiler.process(array, **kwargs)}, '$[{index.value}]')"


@compiles(_Text, "postgresql")
def _text_postgresql(element: _Text, compiler: Any, **kwargs: Any) -> str:
    array, index = element.clauses
    return f"({compiler.process(array, **kwargs)} ->> {index.value})"


@compiles(_Rows, "sqlite")
def _rows_sqlite(element: _Rows, compiler: Any, **kwargs: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **kwargs)}))"


@compiles(_Rows, "postgresql")
def _rows_postgresql(element: _Rows, compiler: Any, **kwargs: Any) -> str:
    row = f"jsonb_build_array({compiler.process(element.clauses, **kwargs)})"
    return f"coalesce(jsonb_agg({row}), '[]')"
