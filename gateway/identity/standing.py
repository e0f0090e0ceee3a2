"""Whether a credential works at this moment: one rule for the door and for what outlives a call."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from chassis import clock
from chassis.errors import NotFound
from gateway.identity.domain import Account, ApiKey, User
from gateway.identity.errors import AccountInactive, InvalidCredential, KeyRevoked
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.sessions import SessionStore


def require_usable(connection: Connection, account_id: str) -> None:
    """Raises NotFound, AccountInactive."""
    account = AccountStore(connection).account(account_id)
    if account is None:
        raise NotFound("account", account_id)
    if not account.usable:
        raise AccountInactive


def signed_in(connection: Connection, account_id: str, user_id: str, session_id: str) -> User:
    """The user of a session that goes on. Raises InvalidCredential, AccountInactive."""
    found = SessionStore(connection).member(account_id, user_id, session_id)
    if found is None:
        raise InvalidCredential
    member, goes_on = found
    if not goes_on or member.user.deactivate_time is not None:
        raise InvalidCredential
    if not member.account.usable:
        raise AccountInactive
    return member.user


def end_of_secret(
    key: ApiKey, account: Account, secret_end_time: datetime | None
) -> datetime | None:
    """When a secret of a key stops working, None for never. Raises KeyRevoked, AccountInactive.

    A former secret comes with the time when it ends, as from `key_by_prefix`.
    """
    now = clock.now()
    if not key.works(now) or (secret_end_time is not None and now >= secret_end_time):
        raise KeyRevoked
    if not account.usable:
        raise AccountInactive
    ends = [time for time in (key.expire_time, secret_end_time) if time is not None]
    return min(ends, default=None)
