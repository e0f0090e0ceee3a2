"""Sessions, invitations, rotated keys, origins, attempts to sign in, and the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

from chassis.columns import JsonDocument, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _extend_accounts_and_users()
    _create_sessions()
    _create_invitations()
    _create_secrets()
    _create_audit()
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _extend_accounts_and_users() -> None:
    for table in ("accounts", "users"):
        op.add_column(table, sa.Column("revision", sa.Integer, nullable=True))
        op.add_column(table, sa.Column("update_time", UtcDateTime(), nullable=True))
        op.execute(f"UPDATE {table} SET revision = 1, update_time = create_time")  # noqa: S608  our own names
        with op.batch_alter_table(table) as batch:
            batch.alter_column("revision", existing_type=sa.Integer, nullable=False)
            batch.alter_column("update_time", existing_type=UtcDateTime(), nullable=False)
    op.add_column("accounts", sa.Column("status_before", sa.String(16), nullable=True))
    op.add_column("users", sa.Column("active_site_id", sa.String(36), nullable=True))
    op.create_index("ix_users_account_id_create_time", "users", ["account_id", "create_time", "id"])
    op.create_table(
        "account_origins",
        sa.Column("account_id", sa.String(36), primary_key=True),
        sa.Column("origin", sa.String(300), primary_key=True),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_account_origins_account_id"
        ),
    )
    op.create_index("ix_account_origins_origin", "account_origins", ["origin"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        *_key("sessions"),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("client_address", sa.String(64), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("expire_time", UtcDateTime(), nullable=False),
        sa.Column("end_time", UtcDateTime(), nullable=True),
        sa.Column("end_reason", sa.String(32), nullable=True),
        _reference("sessions", "user_id", "users"),
    )
    op.create_index("ix_sessions_account_id_user_id", "sessions", ["account_id", "user_id"])
    op.create_index("ix_sessions_expire_time", "sessions", ["expire_time"])
    op.create_table(
        "refresh_tokens",
        *_key("refresh_tokens"),
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("expire_time", UtcDateTime(), nullable=False),
        sa.Column("exchange_time", UtcDateTime(), nullable=True),
        sa.Column("successor_id", sa.String(36), nullable=True),
        _reference("refresh_tokens", "session_id", "sessions"),
        sa.UniqueConstraint("id", name="uq_refresh_tokens_id"),
    )
    op.create_index(
        "ix_refresh_tokens_account_id_session_id", "refresh_tokens", ["account_id", "session_id"]
    )
    op.create_index("ix_refresh_tokens_expire_time", "refresh_tokens", ["expire_time"])
    op.create_table(
        "sign_in_attempts",
        sa.Column("subject", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("window_end_time", UtcDateTime(), nullable=False),
        sa.Column("lock_end_time", UtcDateTime(), nullable=True),
    )
    op.create_index("ix_sign_in_attempts_window_end_time", "sign_in_attempts", ["window_end_time"])


def _create_invitations() -> None:
    op.create_table(
        "invitations",
        *_key("invitations"),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("granted_sites", JsonDocument(), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=True),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("expire_time", UtcDateTime(), nullable=False),
        sa.Column("accept_time", UtcDateTime(), nullable=True),
        sa.Column("revoke_time", UtcDateTime(), nullable=True),
        _reference("invitations", "user_id", "users"),
        sa.UniqueConstraint("id", name="uq_invitations_id"),
    )
    op.create_index(
        "ix_invitations_account_id_create_time", "invitations", ["account_id", "create_time", "id"]
    )
    op.create_index("ix_invitations_account_id_email", "invitations", ["account_id", "email"])


def _create_secrets() -> None:
    op.add_column("api_keys", sa.Column("rotate_time", UtcDateTime(), nullable=True))
    op.create_table(
        "retired_secrets",
        sa.Column("account_id", sa.String(36), primary_key=True),
        sa.Column("prefix", sa.String(32), primary_key=True),
        sa.Column("api_key_id", sa.String(36), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("expire_time", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_retired_secrets_account_id"
        ),
        _reference("retired_secrets", "api_key_id", "api_keys"),
        sa.UniqueConstraint("prefix", name="uq_retired_secrets_prefix"),
    )


def _create_audit() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("account_id", sa.String(36), primary_key=True),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("acting_for", sa.String(36), nullable=False),
        sa.Column("object_id", sa.String(64), nullable=False),
        sa.Column("before", JsonDocument(), nullable=False),
        sa.Column("after", JsonDocument(), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("client_address", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
    )
    op.create_index(
        "ix_audit_entries_account_id_create_time",
        "audit_entries",
        ["account_id", "create_time", "id"],
    )


def _guard_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_entries_refuse_{verb.lower()} BEFORE {verb} ON audit_entries "
            "BEGIN SELECT RAISE(ABORT, 'audit_entries is append-only'); END"
        )
    # INSERT OR REPLACE deletes without firing the triggers above.
    op.execute(
        """
        CREATE TRIGGER audit_entries_refuse_replace BEFORE INSERT ON audit_entries
        WHEN EXISTS (
            SELECT 1 FROM audit_entries WHERE account_id = NEW.account_id AND id = NEW.id
        )
        BEGIN SELECT RAISE(ABORT, 'audit_entries is append-only'); END
        """
    )


def _guard_postgresql() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
        """
    )
    op.execute(
        "CREATE TRIGGER audit_entries_refuse_change "
        "BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


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
