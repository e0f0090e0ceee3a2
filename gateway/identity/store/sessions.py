"""Rows of sessions and their refresh tokens.

Bound to no tenant: a token is what tells the tenant. Whoever knows the account passes it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, or_, select, update

from gateway.admission.addresses import address_key
from gateway.identity.domain import Member, OpenSession, RefreshToken, SessionEnd
from gateway.identity.schema import refresh_tokens, sessions, users
from gateway.identity.store.accounts import find_member

FORGET_BATCH = 500
ADDRESSES_MAX = 500
"""Of one user that are compared; with more, a known one may pass for a new one."""


class SessionStore:
    """Sessions over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open(self, session: OpenSession, first: RefreshToken) -> None:
        """Inserts a session with its first token."""
        self._connection.execute(
            insert(sessions).values(
                account_id=session.account_id,
                id=session.id,
                user_id=session.user_id,
                client_address=session.client_address,
                create_time=session.create_time,
                expire_time=session.expire_time,
            )
        )
        self.add_token(first)

    def add_token(self, token: RefreshToken) -> None:
        """Inserts the next token of a session."""
        self._connection.execute(
            insert(refresh_tokens).values(
                account_id=token.account_id,
                id=token.id,
                session_id=token.session_id,
                secret_hash=token.secret_hash,
                salt=token.salt,
                create_time=token.create_time,
                expire_time=token.expire_time,
            )
        )

    def token(self, token_id: str) -> RefreshToken | None:
        """The token with this id, whatever the account."""
        row = self._connection.execute(
            select(refresh_tokens).where(refresh_tokens.c.id == token_id)
        ).one_or_none()
        return None if row is None else _token_from_row(row)

    def locked(self, account_id: str, session_id: str) -> OpenSession:
        """The session; nobody else exchanges its tokens before the end of the transaction."""
        row = self._connection.execute(
            select(sessions)
            .where(sessions.c.account_id == account_id, sessions.c.id == session_id)
            .with_for_update()
        ).one()
        return _session_from_row(row)

    def exchange(self, token: RefreshToken, successor: RefreshToken, now: datetime) -> None:
        """Marks a token as exchanged for another, which is stored as well."""
        self._connection.execute(
            update(refresh_tokens)
            .where(refresh_tokens.c.account_id == token.account_id, refresh_tokens.c.id == token.id)
            .values(exchange_time=now, successor_id=successor.id)
        )
        self.add_token(successor)

    def member(self, account_id: str, user_id: str, session_id: str) -> tuple[Member, bool] | None:
        """The user of a session, and whether the session goes on; without the account's origins."""
        row = self._connection.execute(
            select(sessions.c.end_time).where(
                sessions.c.account_id == account_id,
                sessions.c.id == session_id,
                sessions.c.user_id == user_id,
            )
        ).one_or_none()
        member = find_member(
            self._connection, users.c.account_id == account_id, users.c.id == user_id
        )
        if row is None or member is None:
            return None
        return member, row.end_time is None

    def end(self, account_id: str, session_id: str, reason: SessionEnd, now: datetime) -> bool:
        """Ends a session; tells whether it went on until now."""
        return self._end(account_id, sessions.c.id == session_id, reason, now) == 1

    def end_all(
        self, account_id: str, user_id: str, reason: SessionEnd, now: datetime, *, but: str = ""
    ) -> int:
        """Ends the sessions of a user, except one; tells how many."""
        of_user = and_(sessions.c.user_id == user_id, sessions.c.id != but)
        return self._end(account_id, of_user, reason, now)

    def knows_address(self, account_id: str, user_id: str, address: str, since: datetime) -> bool:
        """Whether the user has logged in since then from what counts as this network address."""
        addresses = (
            select(sessions.c.client_address)
            .distinct()
            .where(
                sessions.c.account_id == account_id,
                sessions.c.user_id == user_id,
                sessions.c.create_time >= since,
            )
        )
        key = address_key(address)
        same = addresses.where(sessions.c.client_address.in_({address, key})).limit(1)
        if self._connection.execute(same).first() is not None:
            return True
        if key == address:
            return False
        # One customer has many; which of them are alike is not to be seen in their spelling.
        others = addresses.where(sessions.c.client_address.contains(":")).limit(ADDRESSES_MAX)
        return key in map(address_key, self._connection.scalars(others))

    def _end(
        self, account_id: str, which: ColumnElement[bool], reason: SessionEnd, now: datetime
    ) -> int:
        mine = [sessions.c.account_id == account_id, sessions.c.end_time.is_(None), which]
        # In one order for all: two who end the same sessions must not wait for each other.
        ids = select(sessions.c.id).where(*mine).order_by(sessions.c.id).with_for_update()
        return self._connection.execute(
            update(sessions)
            .where(sessions.c.account_id == account_id, sessions.c.id.in_(ids))
            .values(end_time=now, end_reason=reason)
        ).rowcount


def forget_sessions(connection: Connection, before: datetime) -> int:
    """Deletes sessions that expired before this time, with their tokens; says how many rows."""
    old = connection.execute(
        select(sessions.c.account_id, sessions.c.id)
        .where(sessions.c.expire_time < before)
        .limit(FORGET_BATCH)
    ).all()
    if not old:
        return 0
    tokens = [
        and_(refresh_tokens.c.account_id == account_id, refresh_tokens.c.session_id == session_id)
        for account_id, session_id in old
    ]
    rows = [
        and_(sessions.c.account_id == account_id, sessions.c.id == session_id)
        for account_id, session_id in old
    ]
    gone = connection.execute(delete(refresh_tokens).where(or_(*tokens))).rowcount
    return gone + connection.execute(delete(sessions).where(or_(*rows))).rowcount


def forget_tokens(connection: Connection, before: datetime) -> int:
    """Deletes tokens that expired before this time; says how many."""
    old = (
        select(refresh_tokens.c.id).where(refresh_tokens.c.expire_time < before).limit(FORGET_BATCH)
    )
    return connection.execute(delete(refresh_tokens).where(refresh_tokens.c.id.in_(old))).rowcount


def _session_from_row(row: Row[Any]) -> OpenSession:
    return OpenSession(
        id=row.id,
        account_id=row.account_id,
        user_id=row.user_id,
        client_address=row.client_address,
        create_time=row.create_time,
        expire_time=row.expire_time,
        end_time=row.end_time,
    )


def _token_from_row(row: Row[Any]) -> RefreshToken:
    return RefreshToken(
        id=row.id,
        account_id=row.account_id,
        session_id=row.session_id,
        secret_hash=row.secret_hash,
        salt=row.salt,
        create_time=row.create_time,
        expire_time=row.expire_time,
        exchange_time=row.exchange_time,
        successor_id=row.successor_id or "",
    )
