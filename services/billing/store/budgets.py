"""Budgets of one account, and what is used of each.

`used` is a projection of the reservations. It moves in the transaction that reserves or settles.
Whoever changes anything here holds the lock of the account's balance.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.pages import COUNTED_MAX, Page, PageQuery, paginate
from chassis.statements import as_tuples, matching
from chassis.tenancy import visible
from services.billing import schema
from services.billing.domain import Budget, BudgetScope, months_after

_table = schema.budgets
_reservations = schema.reservations
_FIELDS = tuple(c.name for c in _table.columns if c.name not in ("account_id", "scope"))
_SCOPED = {
    BudgetScope.SITE: _reservations.c.site_id,
    BudgetScope.API_KEY: _reservations.c.api_key_id,
    BudgetScope.RUN: _reservations.c.run_id,
}


class BudgetStore:
    """Keeps ceilings and counts what is used below them."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller
        self._own = visible(_table, caller)

    def add(self, budget: Budget) -> None:
        """Sets a ceiling where there is none."""
        self._connection.execute(_INSERT, [_row(self._caller.account_id, budget)])

    def get(self, budget_id: str) -> Budget:
        """One budget that the caller may see. Raises NotFound."""
        row = self._connection.execute(
            select(_table).where(*self._granted(), _table.c.id == budget_id)
        ).one_or_none()
        if row is None:
            raise NotFound("budget", budget_id)
        return budget_from_row(row)

    def of(self, scopes: Mapping[BudgetScope, str]) -> list[Budget]:
        """The budgets that something counts against: at most one for each scope."""
        if not scopes:
            return []
        named = [
            and_(_table.c.scope == scope, _table.c.scope_id == scope_id)
            for scope, scope_id in scopes.items()
        ]
        rows = self._connection.execute(select(_table).where(*self._own, or_(*named)))
        return [budget_from_row(row) for row in rows]

    def set_credits(self, budget_id: str, credits_allowed: int, now: datetime) -> Budget:
        """Changes a ceiling, and its revision."""
        row = self._connection.execute(
            update(_table)
            .where(*self._own, _table.c.id == budget_id)
            .values(credits=credits_allowed, revision=_table.c.revision + 1, update_time=now)
            .returning(_table)
        ).one()
        return budget_from_row(row)

    def remove(self, budget_id: str) -> None:
        """Removes a ceiling."""
        self._connection.execute(delete(_table).where(*self._own, _table.c.id == budget_id))

    def derived(self, scope: BudgetScope, scope_id: str, month: str) -> int:
        """What is used as the reservations say."""
        columns = _reservations.c
        used = case(
            (columns.state == literal_column("'open'"), columns.credits_reserved),
            else_=columns.credits_charged,
        )
        conditions = [
            columns.account_id == self._caller.account_id,
            _SCOPED[scope] == scope_id,
            *in_month(columns.create_time, month),
        ]
        total = self._connection.execute(
            select(func.coalesce(func.sum(used), 0)).where(*conditions)
        ).scalar_one()
        return int(total)

    def rebuild(self) -> None:
        """Derives what is used of each budget anew."""
        for row in self._connection.execute(select(_table).where(*self._own)).all():
            used = self.derived(BudgetScope(row.scope), row.scope_id, row.month)
            self._connection.execute(
                update(_table).where(*self._own, _table.c.id == row.id).values(used=used)
            )

    def page(self, query: PageQuery, scope: BudgetScope | None, scope_id: str) -> Page:
        """Budgets that the caller may see, newest first by default."""
        statement = select(_table).where(*self._granted())
        if scope is not None:
            statement = statement.where(_table.c.scope == scope)
        if scope_id:
            statement = statement.where(_table.c.scope_id == scope_id)
        return paginate(
            self._connection,
            statement,
            query,
            sortable={"created_at": _table.c.create_time},
            default="-created_at",
            tie=_table.c.id,
            count_max=COUNTED_MAX,
        )

    def _granted(self) -> list[ColumnElement[bool]]:
        """The account's, narrowed to the sites that the caller is limited to."""
        sites = self._caller.allowed_sites
        if sites is None:
            return self._own
        if not sites:
            return [false()]
        return [*self._own, _table.c.scope == BudgetScope.SITE, _table.c.scope_id.in_(sites)]


def in_month(column: ColumnElement[datetime], month: str) -> list[ColumnElement[bool]]:
    """Conditions for times in a month such as 2026-01; none for the empty one."""
    if not month:
        return []
    start = datetime.fromisoformat(f"{month}-01T00:00:00+00:00")
    return [column >= start, column < months_after(start, 1)]


def budget_from_row(row: Row[Any]) -> Budget:
    """A row of the table as the domain knows it."""
    return Budget(**{name: getattr(row, name) for name in _FIELDS}, scope=BudgetScope(row.scope))


_OF_SCOPES = select(_table).select_from(
    matching(_table, (_table.c.account_id, _table.c.scope, _table.c.scope_id), "scopes")
)
_INSERT = insert(_table)
_CHANGING = ("revision", "credits", "used", "month", "update_time")
_SET = (
    update(_table)
    .where(_table.c.account_id == bindparam("account"), _table.c.id == bindparam("budget"))
    .values({name: bindparam(name) for name in _CHANGING})
)


def of_scopes(
    connection: Connection, scopes: Collection[tuple[str, BudgetScope, str]]
) -> dict[tuple[str, BudgetScope, str], Budget]:
    """Budgets by account, scope and what they are for; those that there are."""
    if not scopes:
        return {}
    rows = connection.execute(_OF_SCOPES, {"scopes": as_tuples(scopes)})
    return {
        (row.account_id, BudgetScope(row.scope), row.scope_id): budget_from_row(row) for row in rows
    }


def insert_all(connection: Connection, budgets: Mapping[tuple[str, str], Budget]) -> None:
    """Adds budgets, by account and id."""
    if budgets:
        connection.execute(_INSERT, [_row(key[0], budget) for key, budget in budgets.items()])


def set_all(connection: Connection, budgets: Mapping[tuple[str, str], Budget]) -> None:
    """Stores budgets, by account and id, as they are from now on."""
    if budgets:
        rows = [
            {
                "account": account_id,
                "budget": budget_id,
                **{name: getattr(budget, name) for name in _CHANGING},
            }
            for (account_id, budget_id), budget in budgets.items()
        ]
        connection.execute(_SET, rows)


def _row(account_id: str, budget: Budget) -> dict[str, Any]:
    values = {name: getattr(budget, name) for name in _FIELDS}
    return {"account_id": account_id, "scope": budget.scope, **values}
