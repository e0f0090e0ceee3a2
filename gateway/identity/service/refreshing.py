"""The chain of refresh tokens of one session.

Each token is exchanged once. The next one follows from its secret and a stored salt, so a twin
or a repeat after a lost answer is handed the very same token, and there is never a second
branch for a thief to live on: who comes later with a token that was used ends the session.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.errors import Refusal
from chassis.ids import new_id
from gateway.identity import one_time
from gateway.identity.domain import (
    REFRESH_LIFE,
    REPEAT_WINDOW,
    Deed,
    Member,
    OpenSession,
    RefreshToken,
    SessionEnd,
)
from gateway.identity.errors import AccountInactive, InvalidCredential, TokenExpired
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.audit import AuditStore
from gateway.identity.store.sessions import SessionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """The next token of a session."""

    member: Member
    token: RefreshToken
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No token; returned and not raised, because what was ended stays ended."""

    why: Refusal
    ended_account_id: str = ""
    """The account of a session that has just been ended."""


def first_token(session: OpenSession, secret: str, now: datetime) -> RefreshToken:
    """The token that a session begins with."""
    return _token(session, new_id(), secret, now)


def exchange(
    connection: Connection, shown: one_time.Presented, caller: Caller, now: datetime
) -> Exchanged | Refused:
    """Exchanges a token for the next one, under the lock of its session."""
    store = SessionStore(connection)
    token = store.token(shown.id)
    if token is None or not one_time.matches(shown.secret, token.secret_hash):
        return Refused(why=InvalidCredential())
    session = store.locked(token.account_id, token.session_id)
    member = AccountStore(connection).by_id(session.account_id, session.user_id)
    # Again, because a twin may have exchanged it while the lock was waited for.
    token = store.token(shown.id)
    if token is None or member is None:
        return Refused(why=InvalidCredential())
    why = _refusal(session, token, member, now)
    if why is not None:
        return Refused(why=why)
    secret = one_time.following(shown.secret, token.salt)
    if token.exchange_time is None:
        successor = _token(session, new_id(), secret, now)
        store.exchange(token, successor, now)
        return Exchanged(member=member, token=successor, secret=secret)
    given = store.token(token.successor_id)
    if given and given.exchange_time is None and now - token.exchange_time <= REPEAT_WINDOW:
        return Exchanged(member=member, token=given, secret=secret)
    return _end(connection, session, caller, now)


def _refusal(
    session: OpenSession, token: RefreshToken, member: Member, now: datetime
) -> Refusal | None:
    if session.end_time is not None or member.user.deactivate_time is not None:
        return InvalidCredential()
    if now >= token.expire_time or now >= session.expire_time:
        return TokenExpired("refresh token")
    return None if member.account.usable else AccountInactive()


def _end(connection: Connection, session: OpenSession, caller: Caller, now: datetime) -> Refused:
    """Two parties hold tokens of one session, and nobody can tell which is the thief."""
    store = SessionStore(connection)
    store.end(session.account_id, session.id, SessionEnd.TOKEN_REUSED, now)
    who = replace(caller, account_id=session.account_id)
    AuditStore(connection, who).record(
        Deed(
            action="session.ended",
            object_id=session.id,
            after={"user_id": session.user_id},
            reason=SessionEnd.TOKEN_REUSED,
        )
    )
    return Refused(why=InvalidCredential(), ended_account_id=session.account_id)


def _token(session: OpenSession, token_id: str, secret: str, now: datetime) -> RefreshToken:
    return RefreshToken(
        id=token_id,
        account_id=session.account_id,
        session_id=session.id,
        secret_hash=one_time.kept(secret),
        salt=one_time.new_salt(),
        create_time=now,
        expire_time=min(now + REFRESH_LIFE, session.expire_time),
    )
