"""The first tables of identity."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

from chassis.columns import UtcDateTime
from chassis.plumbing import create_plumbing

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_plumbing(op)
    _create_people()
    _create_sites()
    _create_credentials()


def _create_people() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(254), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "users",
        *_key("users"),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("deactivate_time", UtcDateTime(), nullable=True),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )


def _create_sites() -> None:
    op.create_table(
        "sites",
        *_key("sites"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("default_sector_id", sa.String(36), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("account_id", "name", name="uq_sites_account_id_name"),
    )
    op.create_table(
        "sectors",
        *_key("sectors"),
        sa.Column("site_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        _reference("sectors", "site_id", "sites"),
        sa.UniqueConstraint(
            "account_id", "site_id", "name", name="uq_sectors_account_id_site_id_name"
        ),
    )
    for table in ("sites", "sectors"):
        _index_by_age(table)


def _create_credentials() -> None:
    op.create_table(
        "site_access",
        sa.Column("account_id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(36), primary_key=True),
        sa.Column("site_id", sa.String(36), primary_key=True),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_site_access_account_id"),
        _reference("site_access", "user_id", "users"),
        _reference("site_access", "site_id", "sites"),
    )
    op.create_table(
        "api_keys",
        *_key("api_keys"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("limited_site_id", sa.String(36), nullable=True),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("expire_time", UtcDateTime(), nullable=True),
        sa.Column("revoke_time", UtcDateTime(), nullable=True),
        sa.Column("last_use_time", UtcDateTime(), nullable=True),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        _reference("api_keys", "limited_site_id", "sites"),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
    )
    _index_by_age("api_keys")


def _key(table: str) -> list[SchemaItem]:
    return [
        sa.Column("account_id", sa.String(36), primary_key=True),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{table}_account_id"),
    ]


def _reference(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    """A reference that cannot leave the account."""
    return sa.ForeignKeyConstraint(
        ["account_id", column],
        [f"{target}.account_id", f"{target}.id"],
        name=f"fk_{table}_account_id_{column}",
    )


def _index_by_age(table: str) -> None:
    op.create_index(
        f"ix_{table}_account_id_create_time", table, ["account_id", "create_time", "id"]
    )
