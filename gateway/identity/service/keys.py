"""API keys: made, listed, rotated, revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection

from chassis import clock
from chassis.access import require_whole_account
from chassis.caller import Caller
from chassis.database import Database
from chassis.ids import new_id
from chassis.pages import PageQuery
from chassis.replies import Reply
from gateway.identity.domain import KEY_ROLES, ApiKey, Deed, KeyRequest
from gateway.identity.errors import (
    InvalidExpiry,
    KeyEnded,
    KeyRoleTooHigh,
    UnknownSite,
)
from gateway.identity.key_format import make_key
from gateway.identity.service.common import OnChange, once, require_lasting
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.audit import AuditStore
from gateway.identity.store.keys import KeyStore
from gateway.identity.store.sites import SiteStore

_M = TypeVar("_M", bound=Message)


class Keys:
    """Credentials for programs."""

    def __init__(self, database: Database, on_change: OnChange) -> None:
        self._database = database
        self._on_change = on_change

    async def create_api_key(
        self, asked: KeyRequest, caller: Caller, reply: Reply[ApiKey, _M]
    ) -> tuple[_M, str]:
        """Makes a key; answers it and the secret, which is empty when the call was a repeat.

        Raises KeyRoleTooHigh, InvalidExpiry, UnknownSite, Forbidden when a caller who is limited
        to some sites asks for a key that is not, or is a key that ends.
        """
        if asked.role not in KEY_ROLES:
            raise KeyRoleTooHigh
        key_id, made = new_id(), make_key()

        def create(connection: Connection) -> ApiKey:
            AccountStore(connection).locked(caller.account_id)
            require_lasting(connection, caller)
            # Inside, because a repeat is answered even after the time has passed.
            if asked.expire_time is not None and asked.expire_time <= clock.now():
                raise InvalidExpiry
            _check_sites(connection, asked, caller)
            key = ApiKey(
                id=key_id,
                account_id=caller.account_id,
                name=asked.name.strip(),
                role=asked.role,
                limited_site_id=asked.limited_site_id,
                prefix=made.prefix,
                secret_hash=made.secret_hash,
                expire_time=asked.expire_time,
                create_time=clock.now(),
            )
            KeyStore(connection, caller).create(key)
            AuditStore(connection, caller).record(
                Deed(action="api_key.created", object_id=key.id, after=_told(key))
            )
            return key

        answer, fresh = await once(self._database, create, reply)
        return answer, made.key if fresh else ""

    async def rotate_api_key(
        self, key_id: str, overlap: timedelta, caller: Caller, reply: Reply[ApiKey, _M]
    ) -> tuple[_M, str]:
        """Gives a key a new secret; answers it, or an empty one when the call was a repeat.

        Former secrets work for the overlap, none longer than it would have. Raises NotFound,
        KeyEnded, and Forbidden when the caller is a key that ends.
        """
        made = make_key()

        def rotate(connection: Connection) -> ApiKey:
            AccountStore(connection).locked(caller.account_id)
            require_lasting(connection, caller)
            store, now = KeyStore(connection, caller), clock.now()
            key = store.get(key_id)
            if not key.works(now):
                raise KeyEnded
            store.rotate(key, made.prefix, made.secret_hash, now, now + overlap)
            AuditStore(connection, caller).record(
                Deed(
                    action="api_key.rotated",
                    object_id=key.id,
                    before={"prefix": key.prefix},
                    after={"prefix": made.prefix, "overlap_s": int(overlap.total_seconds())},
                )
            )
            return store.get(key_id)

        answer, fresh = await once(self._database, rotate, reply)
        self._on_change(caller.account_id)
        return answer, made.key if fresh else ""

    async def list_api_keys(
        self, caller: Caller, query: PageQuery
    ) -> tuple[list[ApiKey], str, int]:
        """One page of keys, the token of the next one, and how many there are."""
        return await self._database.read(
            lambda connection: KeyStore(connection, caller).list_keys(query)
        )

    async def revoke_api_key(self, key_id: str, caller: Caller) -> ApiKey:
        """Ends a key, once. Raises NotFound."""

        def work(connection: Connection) -> ApiKey:
            AccountStore(connection).locked(caller.account_id)
            store = KeyStore(connection, caller)
            if store.revoke(key_id, clock.now()):
                AuditStore(connection, caller).record(
                    Deed(action="api_key.revoked", object_id=key_id)
                )
            return store.get(key_id)

        key = await self._database.write(work)
        self._on_change(caller.account_id)
        return key


def _told(key: ApiKey) -> dict[str, str]:
    end = key.expire_time.isoformat() if key.expire_time else ""
    return {
        "name": key.name,
        "role": key.role,
        "limited_site_id": key.limited_site_id,
        "expire_time": end,
    }


def _check_sites(connection: Connection, asked: KeyRequest, caller: Caller) -> None:
    """A key may not reach further than who makes it."""
    if not asked.limited_site_id:
        require_whole_account(caller)
    elif SiteStore(connection, caller).find(asked.limited_site_id) is None:
        raise UnknownSite("api_key.limited_site_id")
