"""Tasks, runs and generations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.columns import JsonDocument, UtcDateTime
from chassis.plumbing import create_plumbing

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _tenant() -> list[sa.Column[str]]:
    return [
        _text("account_id", 36),
        _text("id", 36),
        _text("site_id", 36),
        _text("sector_id", 36),
    ]


def upgrade() -> None:
    create_plumbing(op)
    op.create_table(
        "tasks",
        *_tenant(),
        sa.Column("revision", sa.Integer, nullable=False),
        _text("sector_name", 200),
        _text("title", 500),
        sa.Column("description", sa.Text, nullable=False),
        _text("cluster_id", 36),
        _text("cluster_name", 200),
        _text("idea_id", 64),
        _text("taxonomy_term_id", 36),
        _text("content_type", 32),
        _text("content_structure", 32),
        sa.Column("keywords", sa.Text, nullable=False),
        sa.Column("word_count", sa.Integer, nullable=False),
        sa.Column("prompt_override", sa.Text, nullable=False),
        _text("status", 16),
        _text("content_id", 36),
        _text("generation_id", 36),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
        sa.Column("delete_time", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id", name="pk_tasks"),
    )
    op.create_index("ix_tasks_account_id_create_time", "tasks", ["account_id", "create_time", "id"])
    op.create_index(
        "ix_tasks_account_id_site_id", "tasks", ["account_id", "site_id", "create_time"]
    )
    op.create_index("ix_tasks_account_id_cluster_id", "tasks", ["account_id", "cluster_id"])
    op.create_table(
        "runs",
        *_tenant(),
        sa.Column("revision", sa.Integer, nullable=False),
        _text("state", 16),
        _text("stop_after", 16),
        sa.Column("credits_reserved", sa.Integer, nullable=False),
        sa.Column("credits_charged", sa.Integer, nullable=False),
        _text("principal", 64),
        _text("request_id", 64),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
        sa.Column("end_time", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id", name="pk_runs"),
    )
    op.create_index("ix_runs_account_id_create_time", "runs", ["account_id", "create_time", "id"])
    _create_generations()


def _create_generations() -> None:
    op.create_table(
        "generations",
        *_tenant(),
        _text("run_id", 36),
        _text("task_id", 36),
        _text("task_title", 500),
        sa.Column("position", sa.Integer, nullable=False),
        _text("state", 16),
        sa.Column("attempt", sa.Integer, nullable=False),
        _text("reason", 64),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("brief", JsonDocument, nullable=False),
        _text("content_id", 36),
        _text("reservation_key", 128),
        _text("reservation_id", 36),
        sa.Column("credits", sa.Integer, nullable=False),
        sa.Column("words_written", sa.Integer, nullable=False),
        _text("model", 128),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
        _text("pictures_state", 16, nullable=True),
        sa.Column("pictures_total", sa.Integer, nullable=False),
        sa.Column("pictures_generated", sa.Integer, nullable=False),
        sa.Column("pictures_failed", sa.Integer, nullable=False),
        _text("pictures_reason", 64),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("release_time", UtcDateTime, nullable=True),
        sa.Column("start_time", UtcDateTime, nullable=True),
        sa.Column("end_time", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id", name="pk_generations"),
    )
    op.create_index(
        "ix_generations_account_id_run_id", "generations", ["account_id", "run_id", "position"]
    )
    op.create_index(
        "ix_generations_state_release_time", "generations", ["state", "release_time", "account_id"]
    )
    active = sa.text("state IN ('queued', 'running')")
    op.create_index(
        "uq_generations_active_task",
        "generations",
        ["account_id", "task_id"],
        unique=True,
        sqlite_where=active,
        postgresql_where=active,
    )
