"""Tables of the tasks service. Keys start with the account, so that rows can be split by it."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from chassis.columns import JsonDocument, UtcDateTime, tenant_columns
from chassis.plumbing import new_metadata

metadata = new_metadata()


tasks = Table(
    "tasks",
    metadata,
    *tenant_columns(),
    Column("revision", Integer, nullable=False),
    Column("sector_name", String(200), nullable=False),
    Column("title", String(500), nullable=False),
    Column("description", Text, nullable=False),
    Column("cluster_id", String(36), nullable=False),
    Column("cluster_name", String(200), nullable=False),
    Column("idea_id", String(64), nullable=False),
    Column("taxonomy_term_id", String(36), nullable=False),
    Column("content_type", String(32), nullable=False),
    Column("content_structure", String(32), nullable=False),
    Column("keywords", Text, nullable=False),
    Column("word_count", Integer, nullable=False),
    Column("prompt_override", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("content_id", String(36), nullable=False),
    Column("generation_id", String(36), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("delete_time", UtcDateTime, nullable=True),
    Index("ix_tasks_account_id_create_time", "account_id", "create_time", "id"),
    Index("ix_tasks_account_id_cluster_id", "account_id", "cluster_id"),
    # Room for the next version of a row beside it: no index has to learn of a changed status.
    postgresql_with={"fillfactor": "70"},
)

# All that a site's list is ordered and counted by, so that a total needs no row.
Index(
    "ix_tasks_live",
    tasks.c.account_id,
    tasks.c.site_id,
    tasks.c.create_time,
    tasks.c.id,
    tasks.c.sector_id,
    sqlite_where=tasks.c.delete_time.is_(None),
    postgresql_where=tasks.c.delete_time.is_(None),
)

runs = Table(
    "runs",
    metadata,
    *tenant_columns(),
    Column("revision", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("stop_after", String(16), nullable=False),
    Column("credits_reserved", Integer, nullable=False),
    Column("credits_charged", Integer, nullable=False),
    Column("principal", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("end_time", UtcDateTime, nullable=True),
    Index("ix_runs_account_id_create_time", "account_id", "create_time", "id"),
)

generations = Table(
    "generations",
    metadata,
    *tenant_columns(),
    Column("run_id", String(36), nullable=False),
    Column("task_id", String(36), nullable=False),
    Column("task_title", String(500), nullable=False),
    Column("position", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    # What is sent to the writers, as it stood when the run was created.
    Column("brief", JsonDocument, nullable=False),
    Column("content_id", String(36), nullable=False),
    Column("reservation_key", String(128), nullable=False),
    Column("reservation_id", String(36), nullable=False),
    Column("credits", Integer, nullable=False),
    Column("words_written", Integer, nullable=False),
    Column("model", String(128), nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    # Null when the run stops after the text.
    Column("pictures_state", String(16), nullable=True),
    Column("pictures_total", Integer, nullable=False),
    Column("pictures_generated", Integer, nullable=False),
    Column("pictures_failed", Integer, nullable=False),
    Column("pictures_reason", String(64), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    # When it was handed to the stream; null while it waits for its turn.
    Column("release_time", UtcDateTime, nullable=True),
    Column("start_time", UtcDateTime, nullable=True),
    Column("end_time", UtcDateTime, nullable=True),
    Index("ix_generations_account_id_run_id", "account_id", "run_id", "position"),
    Index("ix_generations_state_release_time", "state", "release_time", "account_id"),
)

# One generation at a time for a task, whatever races.
Index(
    "uq_generations_active_task",
    generations.c.account_id,
    generations.c.task_id,
    unique=True,
    sqlite_where=generations.c.state.in_(["queued", "running"]),
    postgresql_where=generations.c.state.in_(["queued", "running"]),
)
