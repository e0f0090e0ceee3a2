"""Accounts: their own settings, and whether they may be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from google.protobuf.message import Message
from sqlalchemy import Connection
from writer.events.v1 import identity_pb2 as events

from chassis import clock, etags
from chassis.access import require_whole_account
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import InvalidTransition, NotFound
from chassis.outbox import Outbox
from gateway.http.origins import normal_origin
from gateway.identity.domain import Account, AccountStatus, Deed
from gateway.identity.errors import NotAnOrigin
from gateway.identity.service.common import OnChange, require_lasting
from gateway.identity.store.accounts import AccountStore, allows_origin
from gateway.identity.store.audit import AuditStore

_WORDS = {
    AccountStatus.SUSPENDED: "account.suspended",
    AccountStatus.CANCELLED: "account.cancelled",
}


class Accounts:
    """The caller's account, and for operators any account."""

    def __init__(self, database: Database, outbox: Outbox, on_change: OnChange) -> None:
        self._database = database
        self._outbox = outbox
        self._on_change = on_change

    async def get_account(self, caller: Caller) -> Account:
        """The caller's account."""
        return await self._database.read(lambda connection: _get(connection, caller.account_id))

    async def update_account(
        self, name: str | None, origins: Sequence[str] | None, etag: str, caller: Caller
    ) -> Account:
        """Changes what is given. Raises EtagMismatch, NotAnOrigin, Forbidden."""
        require_whole_account(caller)
        wanted = None if origins is None else _normal_origins(origins)

        def work(connection: Connection) -> Account:
            store, now = AccountStore(connection), clock.now()
            account = store.locked(caller.account_id)
            etags.require(etag, "account", account.revision, account.guarded)
            changed = replace(
                account,
                name=account.name if name is None else name.strip(),
                allowed_origins=account.allowed_origins if wanted is None else wanted,
            )
            if changed == account:
                return account
            store.set_origins(account.id, changed.allowed_origins, now)
            AuditStore(connection, caller).record(_difference(account, changed))
            return store.save(changed, now)

        account = await self._database.write(work)
        self._on_change(caller.account_id)
        return account

    async def suspend_account(self, account_id: str, reason: str, caller: Caller) -> Account:
        """Holds an account back. Raises NotFound, InvalidTransition, Forbidden."""
        return await self._stop(account_id, AccountStatus.SUSPENDED, reason, caller)

    async def cancel_account(self, account_id: str, reason: str, caller: Caller) -> Account:
        """Ends an account. Raises NotFound, InvalidTransition, Forbidden."""
        return await self._stop(account_id, AccountStatus.CANCELLED, reason, caller)

    async def reactivate_account(self, account_id: str, reason: str, caller: Caller) -> Account:
        """Lets an account be used again, as what it was before. Raises NotFound, Forbidden."""

        def work(connection: Connection) -> Account:
            account = AccountStore(connection).locked(account_id)
            if account.usable:
                return account
            status = account.status_before or AccountStatus.ACTIVE
            changed = replace(account, status=status, status_before=None)
            deed = _difference(account, changed, "account.reactivated", reason)
            fact = events.AccountReactivated(account_id=account_id, status=status)
            return self._set_status(connection, changed, deed, fact, caller)

        account = await self._database.write(work)
        self._on_change(account_id)
        return account

    async def _stop(
        self, account_id: str, status: AccountStatus, reason: str, caller: Caller
    ) -> Account:
        if account_id in {caller.account_id, caller.acting_for}:
            raise InvalidTransition("Nobody can shut out their own account.")

        def work(connection: Connection) -> Account:
            account = AccountStore(connection).locked(account_id)
            if account.status is status:
                return account
            if account.status is AccountStatus.CANCELLED:
                raise InvalidTransition("The account is cancelled.")
            before = account.status if account.usable else account.status_before
            changed = replace(account, status=status, status_before=before)
            deed = _difference(account, changed, _WORDS[status], reason)
            fact = events.AccountSuspended(account_id=account_id, status=status)
            return self._set_status(connection, changed, deed, fact, caller)

        account = await self._database.write(work)
        self._on_change(account_id)
        return account

    def _set_status(
        self, connection: Connection, changed: Account, deed: Deed, fact: Message, caller: Caller
    ) -> Account:
        require_lasting(connection, caller)
        # In the log of the account that it is done to, with whose operator did it.
        home = caller.acting_for or caller.account_id
        who = replace(caller, account_id=changed.id, acting_for=home)
        AuditStore(connection, who).record(deed)
        self._outbox.append(connection, fact, changed.id)
        return AccountStore(connection).save(changed, clock.now())


class Origins:
    """Which web origins may read answers; what CORS is decided by."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_known(self, origin: str) -> bool:
        """Whether any account allows this origin: a preflight request names no account."""
        return await self._allows(origin, "")

    async def allows(self, account_id: str, origin: str) -> bool:
        """Whether this account allows this origin."""
        return bool(account_id) and await self._allows(origin, account_id)

    async def _allows(self, origin: str, account_id: str) -> bool:
        wanted = normal_origin(origin)
        if wanted is None:
            return False
        return await self._database.read(
            lambda connection: allows_origin(connection, wanted, account_id)
        )


def _get(connection: Connection, account_id: str) -> Account:
    account = AccountStore(connection).account(account_id)
    if account is None:
        raise NotFound("account", account_id)
    return account


def _normal_origins(origins: Sequence[str]) -> tuple[str, ...]:
    found = set()
    for index, text in enumerate(origins):
        origin = normal_origin(text)
        if origin is None:
            raise NotAnOrigin(index)
        found.add(origin)
    return tuple(sorted(found))


def _difference(
    account: Account, changed: Account, action: str = "account.updated", reason: str = ""
) -> Deed:
    def shown(value: object) -> object:
        return list(value) if isinstance(value, tuple) else value

    names = [
        name
        for name in ("name", "status", "allowed_origins")
        if getattr(account, name) != getattr(changed, name)
    ]
    return Deed(
        action=action,
        object_id=account.id,
        before={name: shown(getattr(account, name)) for name in names},
        after={name: shown(getattr(changed, name)) for name in names},
        reason=reason.strip(),
    )
