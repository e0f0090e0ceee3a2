"""API keys: made, listed, revoked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection

from chassis import clock
from chassis.caller import Caller
from chassis.database import Database
from chassis.ids import new_id
from chassis.pages import PageQuery
from chassis.replies import Reply
from gateway.identity.domain import KEY_ROLES, ApiKey, KeyRequest
from gateway.identity.errors import InvalidExpiry, KeyRoleTooHigh, SiteForbidden, UnknownSite
from gateway.identity.key_format import make_key
from gateway.identity.store.keys import KeyStore
from gateway.identity.store.sites import SiteStore

_M = TypeVar("_M", bound=Message)


class Keys:
    """Credentials for programs."""

    def __init__(self, database: Database, on_change: Callable[[str], None]) -> None:
        self._database = database
        self._on_change = on_change

    async def create_api_key(
        self, asked: KeyRequest, caller: Caller, reply: Reply[ApiKey, _M]
    ) -> tuple[_M, str]:
        """Makes a key; answers it and the secret, which is empty when the call was a repeat.

        Raises KeyRoleTooHigh, InvalidExpiry, UnknownSite, and SiteForbidden when a caller who
        is limited to some sites asks for a key that is not.
        """
        if asked.role not in KEY_ROLES:
            raise KeyRoleTooHigh
        key_id, made = new_id(), make_key()
        created = False

        def create(connection: Connection) -> ApiKey:
            nonlocal created
            created = True
            # Inside, because a repeat is answered even after the time has passed.
            if asked.expire_time is not None and asked.expire_time <= clock.now():
                raise InvalidExpiry
            _check_limit(connection, asked, caller)
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
            return key

        def work(connection: Connection) -> _M:
            nonlocal created
            # A transaction may run twice, and the second time find a concurrent twin's answer.
            created = False
            return reply.once(connection, lambda: create(connection))

        answer = await self._database.write(work)
        return answer, made.key if created else ""

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
            store = KeyStore(connection, caller)
            store.revoke(key_id, clock.now())
            return store.get(key_id)

        key = await self._database.write(work)
        self._on_change(caller.account_id)
        return key


def _check_limit(connection: Connection, asked: KeyRequest, caller: Caller) -> None:
    """A key may not reach further than who makes it."""
    if not asked.limited_site_id:
        if caller.allowed_sites is not None:
            raise SiteForbidden
    elif SiteStore(connection, caller).find(asked.limited_site_id) is None:
        raise UnknownSite("api_key.limited_site_id")
