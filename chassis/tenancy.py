"""The tenant in every statement: what a caller may see, and what its rows belong to.

A store is given its caller when it is made and puts these conditions into every statement,
so that no method can forget them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, bindparam, false

from chassis.caller import Caller

_PREFIX = "tenant_"
"""So that no parameter is taken for a column's value."""


class Sight(NamedTuple):
    """What of a caller decides the form of a statement, but not its values.

    There are few, so a statement can be built once for each and kept.
    """

    account: bool
    site: bool
    sector: bool
    sites: bool

    @classmethod
    def of(cls, caller: Caller) -> Sight:
        """The sight of this caller."""
        return cls(
            account=bool(caller.account_id),
            site=bool(caller.site_id),
            sector=bool(caller.sector_id),
            sites=caller.allowed_sites is not None,
        )


def visible(table: Table, caller: Caller, *, by_sector: bool = True) -> list[ColumnElement[bool]]:
    """Conditions that keep a statement inside the caller's account, site, sector and granted sites.

    Tables without site columns belong to the account as a whole. With `by_sector` false the
    sector does not matter: the rows belong to the site.
    """
    return _conditions(table, Sight.of(caller), partial(getattr, caller), by_sector=by_sector)


def seen(table: Table, sight: Sight, *, by_sector: bool = True) -> list[ColumnElement[bool]]:
    """The same conditions for a statement that is kept; executed with `tenant_of` its caller."""
    return _conditions(table, sight, _parameter, by_sector=by_sector)


def tenant_of(caller: Caller) -> dict[str, object]:
    """Values for the parameters of `seen`."""
    return {
        f"{_PREFIX}account_id": caller.account_id,
        f"{_PREFIX}site_id": caller.site_id,
        f"{_PREFIX}sector_id": caller.sector_id,
        f"{_PREFIX}allowed_sites": caller.allowed_sites,
    }


def _parameter(name: str) -> Any:
    return bindparam(_PREFIX + name, expanding=name == "allowed_sites")


def _conditions(
    table: Table, sight: Sight, value_of: Callable[[str], Any], *, by_sector: bool
) -> list[ColumnElement[bool]]:
    if not sight.account:
        return [false()]
    conditions: list[ColumnElement[bool]] = [table.c.account_id == value_of("account_id")]
    if "site_id" in table.c:
        if sight.site:
            conditions.append(table.c.site_id == value_of("site_id"))
        if sight.sites:
            conditions.append(table.c.site_id.in_(value_of("allowed_sites")))
    if by_sector and "sector_id" in table.c and sight.sector:
        conditions.append(table.c.sector_id == value_of("sector_id"))
    return conditions


def owned(caller: Caller) -> dict[str, str]:
    """The tenant columns of a new row."""
    return {
        "account_id": caller.account_id,
        "site_id": caller.site_id,
        "sector_id": caller.sector_id,
    }
