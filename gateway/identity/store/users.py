"""Rows of the users of one account, and of the sites granted to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, or_, select, update

from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.pages import PageQuery, paginate
from chassis.statements import insert_if_absent
from chassis.tenancy import visible
from gateway.identity.domain import GRANTED_SITES_MAX, OWNERS, Role, User
from gateway.identity.schema import site_access, users

_SORTABLE = {"email": users.c.email, "name": users.c.name, "created_at": users.c.create_time}
_ESCAPE = "\\"


class UserStore:
    """Users of the caller's account, over one connection."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def get(self, user_id: str) -> User:
        """One user. Raises NotFound."""
        row = self._connection.execute(
            select(users).where(*visible(users, self._caller), users.c.id == user_id)
        ).one_or_none()
        if row is None:
            raise NotFound("user", user_id)
        return self._with_sites([row])[0]

    def list_users(
        self, query: PageQuery, *, role: Role | None, search: str, active: bool | None
    ) -> tuple[list[User], str, int]:
        """One page, the token of the next one, and how many there are."""
        statement = select(users).where(*visible(users, self._caller))
        if role is not None:
            statement = statement.where(users.c.role == role)
        if search:
            statement = statement.where(_contains(search))
        if active is not None:
            is_active = users.c.deactivate_time.is_(None)
            statement = statement.where(is_active if active else ~is_active)
        page = paginate(
            self._connection,
            statement,
            query,
            sortable=_SORTABLE,
            default="-created_at",
            tie=users.c.id,
        )
        return self._with_sites(page.rows), page.next_token, page.total_size

    def other_owners(self, user_id: str) -> bool:
        """Whether somebody else who is active may do all that an owner may."""
        found = self._connection.execute(
            select(users.c.id)
            .where(
                *visible(users, self._caller),
                users.c.id != user_id,
                users.c.role.in_(sorted(OWNERS)),
                users.c.deactivate_time.is_(None),
            )
            .limit(1)
        )
        return found.first() is not None

    def save(self, user: User, now: datetime) -> User:
        """Stores what others see of a user whose account is locked, as the next revision."""
        saved = replace(user, revision=user.revision + 1, update_time=now)
        self._connection.execute(
            update(users)
            .where(*visible(users, self._caller), users.c.id == user.id)
            .values(
                name=saved.name,
                role=saved.role,
                active_site_id=saved.active_site_id or None,
                deactivate_time=saved.deactivate_time,
                revision=saved.revision,
                update_time=now,
            )
        )
        return saved

    def set_password(self, user_id: str, password_hash: str, now: datetime) -> None:
        """Replaces the password of a user; no new revision, because nobody sees it."""
        self._connection.execute(
            update(users)
            .where(*visible(users, self._caller), users.c.id == user_id)
            .values(password_hash=password_hash, update_time=now)
        )

    def add_site(self, user_id: str, site_id: str, now: datetime) -> bool:
        """Lets a user see a site; tells whether that is new."""
        return insert_if_absent(
            self._connection,
            site_access,
            account_id=self._caller.account_id,
            user_id=user_id,
            site_id=site_id,
            create_time=now,
        )

    def remove_site(self, user_id: str, site_id: str) -> bool:
        """Takes a site away; tells whether it was granted."""
        removed = self._connection.execute(
            delete(site_access).where(
                site_access.c.account_id == self._caller.account_id,
                site_access.c.user_id == user_id,
                site_access.c.site_id == site_id,
            )
        )
        return removed.rowcount == 1

    def _with_sites(self, rows: Sequence[Row[Any]]) -> list[User]:
        sites = granted_sites(self._connection, self._caller.account_id, [row.id for row in rows])
        return [user_from_row(row, sites.get(row.id, ())) for row in rows]


def granted_sites(
    connection: Connection, account_id: str, user_ids: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The sites granted to these users of one account, by user."""
    found: dict[str, list[str]] = {}
    rows = connection.execute(
        select(site_access.c.user_id, site_access.c.site_id)
        .where(site_access.c.account_id == account_id, site_access.c.user_id.in_(user_ids))
        .order_by(site_access.c.user_id, site_access.c.site_id)
        .limit(GRANTED_SITES_MAX * max(1, len(user_ids)))
    )
    for user_id, site_id in rows:
        found.setdefault(user_id, []).append(site_id)
    return {user_id: tuple(sites) for user_id, sites in found.items()}


def user_from_row(row: Row[Any], sites: tuple[str, ...]) -> User:
    """The user whose columns are in the row."""
    return User(
        id=row.id,
        account_id=row.account_id,
        email=row.email,
        name=row.name,
        role=Role(row.role),
        password_hash=row.password_hash,
        revision=row.revision,
        create_time=row.create_time,
        update_time=row.update_time,
        deactivate_time=row.deactivate_time,
        active_site_id=row.active_site_id or "",
        granted_sites=sites,
    )


def _contains(search: str) -> ColumnElement[bool]:
    text = search.lower()
    for special in (_ESCAPE, "%", "_"):
        text = text.replace(special, f"{_ESCAPE}{special}")
    pattern = f"%{text}%"
    return or_(
        func.lower(users.c.name).like(pattern, escape=_ESCAPE),
        users.c.email.like(pattern, escape=_ESCAPE),
    )
