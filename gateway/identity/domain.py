"""What identity is about: accounts, their people and programs, their sites and sectors.

Secrets never show in a repr: hashes, keys and tokens are kept out of it field by field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

PLAN_AT_START = "free"
DEFAULT_SITE_NAME = "My site"
DEFAULT_SECTOR_NAME = "General"
GRANTED_SITES_MAX = 100
"""Sites granted to one user: they travel in every call's token, which must fit a header."""


class Role(StrEnum):
    """What a person or a program may do, from least to most."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"
    DEVELOPER = "developer"
    SYSTEM_BOT = "system_bot"


KEY_ROLES = (Role.VIEWER, Role.EDITOR, Role.ADMIN)
"""Roles that a key may have: a program never owns an account."""
GRANTED_ROLES = frozenset({Role.VIEWER, Role.EDITOR})
"""People with these roles see only the sites granted to them."""


class AccountStatus(StrEnum):
    """Whether an account may be used."""

    TRIAL = "trial"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


USABLE = frozenset({AccountStatus.TRIAL, AccountStatus.ACTIVE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer."""

    id: str
    name: str
    status: AccountStatus
    create_time: datetime

    @property
    def usable(self) -> bool:
        """Whether any credential of the account counts."""
        return self.status in USABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person."""

    id: str
    account_id: str
    email: str
    """In lower case; unique over all accounts."""
    name: str
    role: Role
    password_hash: str = field(repr=False)
    create_time: datetime
    deactivate_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user with the account, and what of it the user may see."""

    user: User
    account: Account
    allowed_sites: tuple[str, ...] | None
    """The only sites that the user may see; None means all of the account."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A web site that articles are written for."""

    id: str
    account_id: str
    name: str
    url: str
    default_sector_id: str
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sector:
    """A part of a site."""

    id: str
    account_id: str
    site_id: str
    name: str
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What somebody who wants an account tells about themselves."""

    email: str
    password: str = field(repr=False)
    name: str = ""
    account_name: str = ""
    site_name: str = ""
    sector_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A logged-in user."""

    access_token: str = field(repr=False)
    expires_in_s: int
    user: User
    account: Account
    site: Site | None
    """First site that the user may see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who a caller is: either a user or a key."""

    account: Account
    role: str
    user: User | None = None
    api_key: ApiKey | None = None


def normal_email(text: str) -> str:
    """The spelling under which an address is stored and looked up."""
    return text.strip().lower()
