"""Tables of the images service. Keys start with the account, so that rows can be split by it."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from chassis.columns import UtcDateTime, tenant_columns
from chassis.plumbing import new_metadata

metadata = new_metadata()


image_sets = Table(
    "image_sets",
    metadata,
    *tenant_columns(),
    Column("content_id", String(36), nullable=False),
    Column("generation_id", String(36), nullable=False),
    Column("run_id", String(36), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("stop_after", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("total", Integer, nullable=False),
    Column("generated", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("has_featured", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("complete_time", UtcDateTime, nullable=True),
    Index("ix_image_sets_account_id_content_id", "account_id", "content_id"),
)

images = Table(
    "images",
    metadata,
    *tenant_columns(),
    # At least one of the two; null does not take part in the uniqueness of slots.
    Column("content_id", String(36), nullable=True),
    Column("task_id", String(36), nullable=True),
    Column("image_set_id", String(36), nullable=False),
    Column("image_type", String(16), nullable=False),
    Column("position", Integer, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("prompt_version", String(64), nullable=False),
    Column("alt_text", String(300), nullable=False),
    Column("caption", String(300), nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("storage_key", String(255), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("mime_type", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("provider", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("delete_time", UtcDateTime, nullable=True),
    # The public file is found by the id alone.
    Index("uq_images_id", "id", unique=True),
    Index("ix_images_account_id_create_time", "account_id", "create_time", "id"),
    Index("ix_images_account_id_image_set_id", "account_id", "image_set_id"),
)

# One live picture for a slot, whatever races.
Index(
    "uq_images_live_slot",
    images.c.account_id,
    images.c.content_id,
    images.c.image_type,
    images.c.position,
    unique=True,
    sqlite_where=images.c.delete_time.is_(None),
    postgresql_where=images.c.delete_time.is_(None),
)
