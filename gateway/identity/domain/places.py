"""Sites and their sectors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

DEFAULT_SITE_NAME = "My site"
DEFAULT_SECTOR_NAME = "General"


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
