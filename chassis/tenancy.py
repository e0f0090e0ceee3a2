"""The tenant in every statement: what a caller may see, and what its rows belong to.

A store is given its caller when it is made and puts these conditions into every statement,
so that no method can forget them.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, false

from chassis.caller import Caller


def visible(table: Table, caller: Caller, *, by_sector: bool = True) -> list[ColumnElement[bool]]:
    """Conditions that keep a statement inside the caller's account, site, sector and granted sites.

    Tables without site columns belong to the account as a whole. With `by_sector` false the
    sector does not matter: the rows belong to the site.
    """
    if not caller.account_id:
        return [false()]
    conditions: list[ColumnElement[bool]] = [table.c.account_id == caller.account_id]
    if "site_id" in table.c:
        if caller.site_id:
            conditions.append(table.c.site_id == caller.site_id)
        if caller.allowed_sites is not None:
            conditions.append(table.c.site_id.in_(caller.allowed_sites))
    if by_sector and "sector_id" in table.c and caller.sector_id:
        conditions.append(table.c.sector_id == caller.sector_id)
    return conditions


def owned(caller: Caller) -> dict[str, str]:
    """The tenant columns of a new row."""
    return {
        "account_id": caller.account_id,
        "site_id": caller.site_id,
        "sector_id": caller.sector_id,
    }
