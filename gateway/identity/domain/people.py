"""Accounts and their people: who they are, what they may do, and to whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

PLAN_AT_START = "free"
GRANTED_SITES_MAX = 100
"""Sites granted to one user: they travel in every call's token, which must fit a header."""
INVITATION_LIFE = timedelta(days=7)
ORIGINS_MAX = 20


class Role(StrEnum):
    """What a person or a program may do, from least to most."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"
    DEVELOPER = "developer"
    SYSTEM_BOT = "system_bot"


RANKS = {role: rank for rank, role in enumerate(Role)}
OWNERS = frozenset({Role.OWNER, Role.DEVELOPER, Role.SYSTEM_BOT})
"""Who may do all that an owner may: an account always has one of them."""
OPERATORS = frozenset({Role.DEVELOPER, Role.SYSTEM_BOT})
"""Who may act on other accounts."""
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
    update_time: datetime
    revision: int = 1
    status_before: AccountStatus | None = None
    """What a suspended or cancelled account was before, and will be when it is reactivated."""
    allowed_origins: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether any credential of the account counts."""
        return self.status in USABLE

    @property
    def guarded(self) -> dict[str, object]:
        """What its etag guards; new fields come last."""
        return {
            "name": self.name,
            # Databases sort texts each in their own way.
            "allowed_origins": sorted(self.allowed_origins),
            "status": self.status,
        }


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
    update_time: datetime
    revision: int = 1
    deactivate_time: datetime | None = None
    active_site_id: str = ""
    """The site that is meant when none is named; empty for the oldest one."""
    granted_sites: tuple[str, ...] = ()
    """What a viewer or an editor may see; without meaning for other roles."""

    @property
    def allowed_sites(self) -> tuple[str, ...] | None:
        """The only sites that the user may see; None means all of the account."""
        return self.granted_sites if self.role in GRANTED_ROLES else None

    @property
    def guarded(self) -> dict[str, object]:
        """What its etag guards; new fields come last."""
        return {
            "name": self.name,
            "role": self.role,
            "active_site_id": self.active_site_id,
            "granted_site_ids": self.granted_sites,
            "deactivate_time": self.deactivate_time,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user with the account."""

    user: User
    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What somebody who wants an account tells about themselves."""

    email: str
    password: str = field(repr=False)
    name: str = ""
    account_name: str = ""
    site_name: str = ""
    sector_name: str = ""


def normal_email(text: str) -> str:
    """The spelling under which an address is stored and looked up."""
    return text.strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRequest:
    """Whom somebody wants to have in the account, and as what."""

    email: str
    role: Role
    granted_sites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A way into an account for one person."""

    id: str
    account_id: str
    email: str
    role: Role
    granted_sites: tuple[str, ...]
    secret_hash: str = field(repr=False)
    user_id: str = ""
    """Who accepted it."""
    create_time: datetime
    expire_time: datetime
    accept_time: datetime | None = None
    revoke_time: datetime | None = None


def rank_within(role: str, *, acting: bool) -> int:
    """How high a caller stands in an account; an operator at work on it no higher than an owner."""
    rank = RANKS[Role(role)]
    return min(rank, RANKS[Role.OWNER]) if acting else rank
