"""Tables of identity; references carry the account, so that the database keeps tenants apart."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from chassis.columns import JsonDocument, UtcDateTime
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
    # Of a suspended or cancelled account: what it will be again.
    Column("status_before", String(16), nullable=True),
    Column("revision", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
)

account_origins = Table(
    "account_origins",
    metadata,
    _account(),
    Column("origin", String(300), primary_key=True),
    Column("create_time", UtcDateTime, nullable=False),
    Index("ix_account_origins_origin", "origin"),
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
    # Not a foreign key: a site that the user cannot see any more is passed over, not in the way.
    Column("active_site_id", String(36), nullable=True),
    Column("revision", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("deactivate_time", UtcDateTime, nullable=True),
    # Over all accounts: an address and a password are enough to log in.
    UniqueConstraint("email"),
    Index("ix_users_account_id_create_time", "account_id", "create_time", "id"),
)

invitations = Table(
    "invitations",
    metadata,
    _account(),
    Column("id", String(36), primary_key=True),
    Column("email", String(254), nullable=False),
    Column("role", String(16), nullable=False),
    Column("granted_sites", JsonDocument, nullable=False),
    Column("secret_hash", String(64), nullable=False),
    # Who accepted it.
    Column("user_id", String(36), nullable=True),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("accept_time", UtcDateTime, nullable=True),
    Column("revoke_time", UtcDateTime, nullable=True),
    ForeignKeyConstraint(["account_id", "user_id"], ["users.account_id", "users.id"]),
    # Over all accounts: who accepts one names no account.
    UniqueConstraint("id"),
    Index("ix_invitations_account_id_create_time", "account_id", "create_time", "id"),
    Index("ix_invitations_account_id_email", "account_id", "email"),
)

sessions = Table(
    "sessions",
    metadata,
    _account(),
    Column("id", String(36), primary_key=True),
    Column("user_id", String(36), nullable=False),
    Column("client_address", String(64), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("end_time", UtcDateTime, nullable=True),
    Column("end_reason", String(32), nullable=True),
    ForeignKeyConstraint(["account_id", "user_id"], ["users.account_id", "users.id"]),
    Index("ix_sessions_account_id_user_id", "account_id", "user_id"),
    Index("ix_sessions_expire_time", "expire_time"),
)

# Every token of a session, so that one that comes again is known as such.
refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    _account(),
    Column("id", String(36), primary_key=True),
    Column("session_id", String(36), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("salt", String(64), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("exchange_time", UtcDateTime, nullable=True),
    Column("successor_id", String(36), nullable=True),
    ForeignKeyConstraint(["account_id", "session_id"], ["sessions.account_id", "sessions.id"]),
    # Over all accounts: who refreshes names no account.
    UniqueConstraint("id"),
    Index("ix_refresh_tokens_account_id_session_id", "account_id", "session_id"),
    Index("ix_refresh_tokens_expire_time", "expire_time"),
)

# Of nobody's account: who signs in is not known yet. Subjects are hashes, because people type
# passwords into the wrong field.
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("subject", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("window_end_time", UtcDateTime, nullable=False),
    Column("lock_end_time", UtcDateTime, nullable=True),
    Index("ix_sign_in_attempts_window_end_time", "window_end_time"),
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
    Column("rotate_time", UtcDateTime, nullable=True),
    Column("create_time", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["account_id", "limited_site_id"], ["sites.account_id", "sites.id"]),
    UniqueConstraint("prefix"),
    Index("ix_api_keys_account_id_create_time", "account_id", "create_time", "id"),
)

# Secrets that keys had before they were rotated; they work until they expire.
retired_secrets = Table(
    "retired_secrets",
    metadata,
    _account(),
    Column("prefix", String(32), primary_key=True),
    Column("api_key_id", String(36), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["account_id", "api_key_id"], ["api_keys.account_id", "api_keys.id"]),
    UniqueConstraint("prefix"),
)

# Append-only: the database refuses to change or delete a row. No foreign keys, because it
# outlives what it tells about.
audit_entries = Table(
    "audit_entries",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("id", String(36), primary_key=True),
    Column("action", String(64), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("acting_for", String(36), nullable=False),
    Column("object_id", String(64), nullable=False),
    Column("before", JsonDocument, nullable=False),
    Column("after", JsonDocument, nullable=False),
    Column("reason", Text, nullable=False),
    Column("client_address", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Index("ix_audit_entries_account_id_create_time", "account_id", "create_time", "id"),
)
