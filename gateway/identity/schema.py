"""Tables of identity; references carry the account, so that the database keeps tenants apart."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from chassis.columns import UtcDateTime
from chassis.plumbing import new_metadata

metadata = new_metadata()


def _account() -> Column[str]:
    return Column("account_id", String(36), ForeignKey("accounts.id"), primary_key=True)


accounts = Table(
    "accounts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(254), nullable=False),
    Column("status", String(16), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
)

users = Table(
    "users",
    metadata,
    _account(),
    Column("id", String(36), primary_key=True),
    Column("email", String(254), nullable=False),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("deactivate_time", UtcDateTime, nullable=True),
    # Over all accounts: an address and a password are enough to log in.
    UniqueConstraint("email"),
)

sites = Table(
    "sites",
    metadata,
    _account(),
    Column("id", String(36), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("url", String(500), nullable=False),
    # Not a foreign key: site and sector are made together, and one of them must come first.
    Column("default_sector_id", String(36), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    UniqueConstraint("account_id", "name"),
    Index("ix_sites_account_id_create_time", "account_id", "create_time", "id"),
)

sectors = Table(
    "sectors",
    metadata,
    _account(),
    Column("id", String(36), primary_key=True),
    Column("site_id", String(36), nullable=False),
    Column("name", String(200), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["account_id", "site_id"], ["sites.account_id", "sites.id"]),
    UniqueConstraint("account_id", "site_id", "name"),
    Index("ix_sectors_account_id_create_time", "account_id", "create_time", "id"),
)

# Which sites a viewer or an editor may see; for other roles it has no meaning.
site_access = Table(
    "site_access",
    metadata,
    _account(),
    Column("user_id", String(36), primary_key=True),
    Column("site_id", String(36), primary_key=True),
    Column("create_time", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["account_id", "user_id"], ["users.account_id", "users.id"]),
    ForeignKeyConstraint(["account_id", "site_id"], ["sites.account_id", "sites.id"]),
)

api_keys = Table(
    "api_keys",
    metadata,
    _account(),
    Column("id", String(36), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    # Null for a key that may touch every site.
    Column("limited_site_id", String(36), nullable=True),
    Column("prefix", String(32), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("expire_time", UtcDateTime, nullable=True),
    Column("revoke_time", UtcDateTime, nullable=True),
    Column("last_use_time", UtcDateTime, nullable=True),
    Column("create_time", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["account_id", "limited_site_id"], ["sites.account_id", "sites.id"]),
    UniqueConstraint("prefix"),
    Index("ix_api_keys_account_id_create_time", "account_id", "create_time", "id"),
)
