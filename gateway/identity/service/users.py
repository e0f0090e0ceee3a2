"""The people of an account: listed, changed, shut out, let in again, and what they may see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from chassis import clock, etags
from chassis.access import require_whole_account
from chassis.caller import Caller
from chassis.database import Database
from chassis.pages import PageQuery
from gateway.identity.domain import (
    GRANTED_SITES_MAX,
    OWNERS,
    Deed,
    Role,
    SessionEnd,
    User,
)
from gateway.identity.errors import LastOwner, TooManySites, UnknownSite
from gateway.identity.service.common import (
    OnChange,
    require_lasting,
    require_rank,
    user_id_of,
)
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.audit import AuditStore
from gateway.identity.store.sessions import SessionStore
from gateway.identity.store.sites import SiteStore
from gateway.identity.store.users import UserStore


class Users:
    """Users of the caller's account."""

    def __init__(self, database: Database, on_change: OnChange) -> None:
        self._database = database
        self._on_change = on_change

    async def get_user(self, user_id: str, caller: Caller) -> User:
        """One user. Raises NotFound."""
        require_whole_account(caller)
        return await self._database.read(
            lambda connection: UserStore(connection, caller).get(user_id)
        )

    async def list_users(
        self,
        caller: Caller,
        query: PageQuery,
        *,
        role: Role | None,
        search: str,
        active: bool | None,
    ) -> tuple[list[User], str, int]:
        """One page of users, the token of the next one, and how many there are."""
        require_whole_account(caller)
        return await self._database.read(
            lambda connection: UserStore(connection, caller).list_users(
                query, role=role, search=search, active=active
            )
        )

    async def update_user(
        self, user_id: str, changes: dict[str, Any], etag: str, caller: Caller
    ) -> User:
        """Changes name or role.

        Raises NotFound, EtagMismatch, RoleTooHigh, LastOwner, Forbidden.
        """

        def change(connection: Connection, user: User) -> User:
            if "role" in changes:
                require_lasting(connection, caller)
            etags.require(etag, "user", user.revision, user.guarded)
            changed = replace(user, **changes)
            require_rank(caller, changed.role)
            _keep_an_owner(connection, user, changed, caller)
            return self._save(connection, user, changed, caller)

        return await self._changed(user_id, caller, change)

    async def update_me(self, changes: dict[str, Any], etag: str, caller: Caller) -> User:
        """Changes the caller's name or site. Raises NotAPerson, EtagMismatch, UnknownSite."""
        user_id = user_id_of(caller)

        def work(connection: Connection) -> User:
            AccountStore(connection).locked(caller.account_id)
            user = UserStore(connection, caller).get(user_id)
            etags.require(etag, "user", user.revision, user.guarded)
            changed = replace(user, **changes)
            chosen = changed.active_site_id
            if chosen and SiteStore(connection, caller).find(chosen) is None:
                raise UnknownSite("active_site_id")
            return self._save(connection, user, changed, caller)

        return await self._database.write(work)

    async def deactivate_user(self, user_id: str, caller: Caller) -> User:
        """Shuts a user out and ends their sessions. Raises NotFound, RoleTooHigh, LastOwner."""

        def change(connection: Connection, user: User) -> User:
            if user.deactivate_time is not None:
                return user
            now = clock.now()
            changed = replace(user, deactivate_time=now)
            _keep_an_owner(connection, user, changed, caller)
            # The user first: a login that is under way waits for it, or is ended below.
            saved = UserStore(connection, caller).save(changed, now)
            ended = SessionStore(connection).end_all(
                user.account_id, user.id, SessionEnd.USER_DEACTIVATED, now
            )
            deed = Deed(
                action="user.deactivated", object_id=user.id, after={"sessions_ended": ended}
            )
            AuditStore(connection, caller).record(deed)
            return saved

        return await self._changed(user_id, caller, change)

    async def reactivate_user(self, user_id: str, caller: Caller) -> User:
        """Lets a user log in again. Raises NotFound, RoleTooHigh, Forbidden."""

        def change(connection: Connection, user: User) -> User:
            require_lasting(connection, caller)
            if user.deactivate_time is None:
                return user
            AuditStore(connection, caller).record(
                Deed(action="user.reactivated", object_id=user.id)
            )
            changed = replace(user, deactivate_time=None)
            return UserStore(connection, caller).save(changed, clock.now())

        return await self._changed(user_id, caller, change)

    async def add_site_access(self, user_id: str, site_id: str, caller: Caller) -> User:
        """Lets a user see a site. Raises NotFound, RoleTooHigh, TooManySites, Forbidden."""

        def change(connection: Connection, user: User) -> User:
            require_lasting(connection, caller)
            store, now = UserStore(connection, caller), clock.now()
            SiteStore(connection, caller).get(site_id)
            if site_id not in user.granted_sites and len(user.granted_sites) >= GRANTED_SITES_MAX:
                raise TooManySites(GRANTED_SITES_MAX)
            if not store.add_site(user_id, site_id, now):
                return user
            deed = Deed(action="user.site_granted", object_id=user.id, after={"site_id": site_id})
            AuditStore(connection, caller).record(deed)
            store.save(user, now)
            return store.get(user_id)

        return await self._changed(user_id, caller, change)

    async def remove_site_access(self, user_id: str, site_id: str, caller: Caller) -> User:
        """Takes a site away from a user. Raises NotFound, RoleTooHigh."""

        def change(connection: Connection, user: User) -> User:
            store = UserStore(connection, caller)
            SiteStore(connection, caller).get(site_id)
            if not store.remove_site(user_id, site_id):
                return user
            deed = Deed(
                action="user.site_withdrawn", object_id=user.id, before={"site_id": site_id}
            )
            AuditStore(connection, caller).record(deed)
            store.save(user, clock.now())
            return store.get(user_id)

        return await self._changed(user_id, caller, change)

    async def _changed(
        self, user_id: str, caller: Caller, change: Callable[[Connection, User], User]
    ) -> User:
        """Changes a user under the lock of the account: who counts owners counts them alone."""
        require_whole_account(caller)

        def work(connection: Connection) -> User:
            AccountStore(connection).locked(caller.account_id)
            user = UserStore(connection, caller).get(user_id)
            require_rank(caller, user.role)
            return change(connection, user)

        user = await self._database.write(work)
        self._on_change(caller.account_id)
        return user

    @staticmethod
    def _save(connection: Connection, user: User, changed: User, caller: Caller) -> User:
        """Stores what differs, with its place in the audit log; a repeat changes nothing."""
        names = [
            name
            for name in ("name", "role", "active_site_id")
            if getattr(user, name) != getattr(changed, name)
        ]
        if not names:
            return user
        AuditStore(connection, caller).record(
            Deed(
                action="user.role_changed" if "role" in names else "user.updated",
                object_id=user.id,
                before={name: getattr(user, name) for name in names},
                after={name: getattr(changed, name) for name in names},
            )
        )
        return UserStore(connection, caller).save(changed, clock.now())


def _keep_an_owner(connection: Connection, user: User, changed: User, caller: Caller) -> None:
    """Raises LastOwner when nobody would be left who may do everything."""
    was_owner = user.role in OWNERS and user.deactivate_time is None
    is_owner = changed.role in OWNERS and changed.deactivate_time is None
    if was_owner and not is_owner and not UserStore(connection, caller).other_owners(user.id):
        raise LastOwner
