"""Reservations, found by their keys, and what they hold.

A key is unique in the account whatever the site, because credits belong to the account.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    bindparam,
    insert,
    literal_column,
    select,
    update,
)

from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.statements import as_tuples, matching, tuples
from services.billing import schema
from services.billing.domain import (
    SETTLE_REASON_CHARS,
    Grant,
    Held,
    Operation,
    Reservation,
    ReservationState,
    Share,
    Unit,
)
from services.billing.ledger import Kind, LedgerAccount
from services.billing.store.grants import burn_order, grants_from_rows
from services.billing.store.rows import values_of

_table = schema.reservations
_ENUMS = {"state": ReservationState, "operation": Operation, "unit": Unit}
_NOTES = ("principal", "settle_reason")
"""Columns that the domain does not know."""
_FIELDS = tuple(c.name for c in _table.columns if c.name not in (*_ENUMS, *_NOTES))
_fields = values_of(_FIELDS)
_columns = values_of((*_FIELDS, *_ENUMS))
_GRANT = [column.label(f"grant_{column.name}") for column in schema.grants.columns]
_grant_from = grants_from_rows("grant_")


class Found(NamedTuple):
    """A reservation, what it holds, and the grants behind that as they are."""

    held: Held
    grants: tuple[Grant, ...]


def _found(source: FromClause) -> Select[Any]:
    """In one statement, because every commit begins with it."""
    holds, entries = schema.ledger_transactions, schema.ledger_entries
    source = (
        source.outerjoin(
            holds, and_(holds.c.reservation_id == _table.c.id, holds.c.kind == Kind.RESERVE)
        )
        .outerjoin(
            entries,
            and_(
                entries.c.transaction_id == holds.c.id,
                entries.c.ledger_account == LedgerAccount.RESERVED,
            ),
        )
        .outerjoin(schema.grants, schema.grants.c.id == entries.c.grant_id)
    )
    return (
        select(_table, entries.c.amount, *_GRANT)
        .select_from(source)
        .order_by(_table.c.account_id, _table.c.key, *burn_order())
    )


_BY_KEYS = _found(matching(_table, (_table.c.account_id, _table.c.key), "keys"))
_BY_IDS = _found(matching(_table, (_table.c.account_id, _table.c.id), "ids"))
_ONE = select(_table).where(
    _table.c.account_id == bindparam("account"), _table.c.key == bindparam("of_key")
)
_RUNS, (_ACCOUNT, _RUN) = tuples("runs", 2)
_FIRST_OF_RUNS = select(
    _ACCOUNT,
    _RUN,
    select(_table.c.api_key_id)
    .where(_table.c.account_id == _ACCOUNT, _table.c.run_id == _RUN)
    .order_by(_table.c.create_time, _table.c.id)
    .limit(1)
    .correlate(_RUNS)
    .scalar_subquery(),
).select_from(_RUNS)
_INSERT = insert(_table)
_SETTLED = ("state", "credits_charged", "settle_time", "settle_reason")
_SETTLE = (
    update(_table)
    .where(
        _table.c.account_id == bindparam("account"),
        _table.c.key == bindparam("of_key"),
        _table.c.state == literal_column(f"'{ReservationState.OPEN}'"),
    )
    .values({name: bindparam(name) for name in _SETTLED})
)


def get(connection: Connection, caller: Caller, key: str) -> Reservation:
    """One reservation of the caller's account. Raises NotFound."""
    row = connection.execute(_ONE, {"account": caller.account_id, "of_key": key}).one_or_none()
    if row is None:
        raise NotFound("reservation", key)
    return reservation_from_row(row)


def held_by_keys(connection: Connection, keys: Collection[tuple[str, str]]) -> list[Found]:
    """What there is under keys, each with its account."""
    if not keys:
        return []
    return _grouped(connection.execute(_BY_KEYS, {"keys": as_tuples(keys)}))


def held_by_ids(connection: Connection, account_id: str, ids: Collection[str]) -> list[Found]:
    """What there is under ids, in the order of the keys."""
    if not ids:
        return []
    found = as_tuples((account_id, each) for each in ids)
    return _grouped(connection.execute(_BY_IDS, {"ids": found}))


def api_keys_of_runs(
    connection: Connection, runs: Collection[tuple[str, str]]
) -> dict[tuple[str, str], str | None]:
    """The API keys behind the first reservations of runs, each with its account; None for a run
    without any."""
    if not runs:
        return {}
    rows = connection.execute(_FIRST_OF_RUNS, {"runs": as_tuples(runs)})
    return {(account_id, run_id): api_key_id for account_id, run_id, api_key_id in rows}


def insert_all(connection: Connection, made: Sequence[tuple[Reservation, str]]) -> None:
    """Adds reservations, each with the principal who made it."""
    if made:
        rows = [
            {**_columns(each), "principal": principal, "settle_reason": ""}
            for each, principal in made
        ]
        connection.execute(_INSERT, rows)


def settle_all(connection: Connection, settled: Sequence[tuple[Reservation, str]]) -> None:
    """Stores how open reservations ended, each with the reason."""
    if settled:
        rows = [
            {
                "account": each.account_id,
                "of_key": each.key,
                "state": each.state,
                "credits_charged": each.credits_charged,
                "settle_time": each.settle_time,
                "settle_reason": reason[:SETTLE_REASON_CHARS],
            }
            for each, reason in settled
        ]
        connection.execute(_SETTLE, rows)


def reservation_from_row(row: Row[Any]) -> Reservation:
    """A row of the table as the domain knows it."""
    return Reservation(
        **_fields(row),
        state=ReservationState(row.state),
        operation=Operation(row.operation),
        unit=Unit(row.unit),
    )


def _grouped(rows: Iterable[Row[Any]]) -> list[Found]:
    found = []
    for _, group in itertools.groupby(rows, lambda row: row.id):
        same = list(group)
        holding = [row for row in same if row.grant_id]
        shares = tuple(Share(row.grant_id, row.amount) for row in holding)
        held = Held(reservation_from_row(same[0]), shares)
        found.append(Found(held, tuple(_grant_from(row) for row in holding)))
    return found
