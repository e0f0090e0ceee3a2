"""What people and programs show to be let in.

Secrets never show in a repr: hashes, keys and tokens are kept out of it field by field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.identity.domain.people import Account, Role, User
from gateway.identity.domain.places import Site

KEY_ROLES = (Role.VIEWER, Role.EDITOR, Role.ADMIN)
"""Roles that a key may have: a program never owns an account."""
RETIRED_SECRETS_MAX = 5
"""Former secrets of one key that are remembered."""
REFRESH_LIFE = timedelta(days=7)
"""Of one refresh token; who is away for longer logs in again."""
SESSION_LIFE = timedelta(days=90)
"""Of a session, however often it is refreshed."""
REPEAT_WINDOW = timedelta(seconds=30)
"""For how long an exchanged refresh token is answered like the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A credential for programs."""

    id: str
    account_id: str
    name: str
    role: Role
    limited_site_id: str
    """The only site that the key may touch; empty for all."""
    prefix: str
    secret_hash: str = field(repr=False)
    expire_time: datetime | None
    revoke_time: datetime | None = None
    last_use_time: datetime | None = None
    rotate_time: datetime | None = None
    create_time: datetime

    @property
    def allowed_sites(self) -> tuple[str, ...] | None:
        """The only sites that the key may touch; None means all of the account."""
        return (self.limited_site_id,) if self.limited_site_id else None

    def works(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoke_time is None and (self.expire_time is None or now < self.expire_time)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """The key that somebody asks for."""

    name: str
    role: Role
    limited_site_id: str = ""
    expire_time: datetime | None = None


class SessionEnd(StrEnum):
    """Why a session is over."""

    LOGOUT = "logout"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  a word, no secret
    USER_DEACTIVATED = "user_deactivated"
    TOKEN_REUSED = "token_reused"  # noqa: S105  a word, no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A login that goes on from token to token."""

    id: str
    account_id: str
    user_id: str
    client_address: str
    create_time: datetime
    expire_time: datetime
    end_time: datetime | None = None

    def works(self, now: datetime) -> bool:
        """Whether the session has neither ended nor expired."""
        return self.end_time is None and now < self.expire_time


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """One link of a session's chain of tokens."""

    id: str
    account_id: str
    session_id: str
    secret_hash: str = field(repr=False)
    salt: str = field(repr=False)
    """From it and the secret follows the next secret."""
    create_time: datetime
    expire_time: datetime
    exchange_time: datetime | None = None
    successor_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A logged-in user."""

    access_token: str = field(repr=False)
    expires_in_s: int
    refresh_token: str = field(repr=False)
    refresh_expires_in_s: int
    user: User
    account: Account
    site: Site | None
    """The user's active site, or the oldest one that the user may see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who a caller is: either a user or a key."""

    account: Account
    role: str
    user: User | None = None
    api_key: ApiKey | None = None
    site: Site | None = None
    """The caller's active site, or the oldest one that the caller may see."""
