"""Clusters, taxonomy, contents with their revisions and links."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.columns import JsonDocument, UtcDateTime
from chassis.plumbing import create_plumbing

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _tenant() -> list[sa.Column[str]]:
    return [
        sa.Column("account_id", sa.String(36), primary_key=True),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("site_id", sa.String(36), nullable=False),
        sa.Column("sector_id", sa.String(36), nullable=False),
    ]


def upgrade() -> None:
    create_plumbing(op)
    _create_classification()
    _create_contents()
    _create_links()


def _create_classification() -> None:
    op.create_table(
        "clusters",
        *_tenant(),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )
    op.create_index(
        "uq_clusters_name", "clusters", ["account_id", "site_id", "sector_id", "name"], unique=True
    )
    op.create_table(
        "taxonomies",
        *_tenant(),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("slug", sa.String(200), nullable=False),
        sa.Column("taxonomy_type", sa.String(16), nullable=False),
        sa.Column("parent_id", sa.String(36), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("external_taxonomy", sa.String(100), nullable=False),
        sa.Column("external_id", sa.String(100), nullable=False),
        sa.Column("sync_status", sa.String(16), nullable=False),
        sa.Column("metadata", JsonDocument, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )
    op.create_index(
        "uq_taxonomies_slug",
        "taxonomies",
        ["account_id", "site_id", "taxonomy_type", "slug"],
        unique=True,
    )
    known = sa.text("external_id <> ''")
    op.create_index(
        "uq_taxonomies_external",
        "taxonomies",
        ["account_id", "site_id", "external_taxonomy", "external_id"],
        unique=True,
        sqlite_where=known,
        postgresql_where=known,
    )


def _create_contents() -> None:
    op.create_table(
        "contents",
        *_tenant(),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("sector_name", sa.String(200), nullable=False),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("content_html", sa.Text, nullable=False),
        sa.Column("excerpt", sa.Text, nullable=False),
        sa.Column("meta_title", sa.String(200), nullable=False),
        sa.Column("meta_description", sa.String(500), nullable=False),
        sa.Column("primary_keyword", sa.String(100), nullable=False),
        sa.Column("secondary_keywords", JsonDocument, nullable=False),
        sa.Column("cluster_id", sa.String(36), nullable=False),
        sa.Column("content_type", sa.String(32), nullable=False),
        sa.Column("content_structure", sa.String(32), nullable=False),
        sa.Column("external_id", sa.String(100), nullable=False),
        sa.Column("external_url", sa.Text, nullable=False),
        sa.Column("external_type", sa.String(100), nullable=False),
        sa.Column("external_metadata", JsonDocument, nullable=False),
        sa.Column("sync_status", sa.String(16), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("word_count", sa.Integer, nullable=False),
        sa.Column("task_id", sa.String(36), nullable=False),
        sa.Column("generation_id", sa.String(36), nullable=False),
        sa.Column("image_set_version", sa.Integer, nullable=False),
        sa.Column("has_featured", sa.Boolean, nullable=False),
        sa.Column("images_pending", sa.Integer, nullable=False),
        sa.Column("images_generated", sa.Integer, nullable=False),
        sa.Column("images_failed", sa.Integer, nullable=False),
        sa.Column("provenance", JsonDocument, nullable=False),
        sa.Column("publish_time", UtcDateTime, nullable=True),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
        sa.Column("delete_time", UtcDateTime, nullable=True),
    )
    op.create_index(
        "ix_contents_account_id_create_time", "contents", ["account_id", "create_time", "id"]
    )
    op.create_index(
        "ix_contents_account_id_site_id", "contents", ["account_id", "site_id", "create_time"]
    )
    op.create_index("ix_contents_account_id_cluster_id", "contents", ["account_id", "cluster_id"])
    op.create_index("ix_contents_account_id_task_id", "contents", ["account_id", "task_id"])
    generated = sa.text("generation_id <> ''")
    op.create_index(
        "uq_contents_generation_id",
        "contents",
        ["account_id", "generation_id"],
        unique=True,
        sqlite_where=generated,
        postgresql_where=generated,
    )


def _create_links() -> None:
    op.create_table(
        "content_revisions",
        sa.Column("account_id", sa.String(36), primary_key=True),
        sa.Column("content_id", sa.String(36), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("base_number", sa.Integer, nullable=False),
        sa.Column("snapshot", JsonDocument, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
    )
    op.create_table(
        "content_terms",
        sa.Column("account_id", sa.String(36), primary_key=True),
        sa.Column("content_id", sa.String(36), primary_key=True),
        sa.Column("taxonomy_id", sa.String(36), primary_key=True),
    )
    op.create_index("ix_content_terms_taxonomy_id", "content_terms", ["account_id", "taxonomy_id"])
    op.create_table(
        "content_clusters",
        sa.Column("account_id", sa.String(36), primary_key=True),
        sa.Column("content_id", sa.String(36), primary_key=True),
        sa.Column("cluster_id", sa.String(36), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
    )
    op.create_index(
        "ix_content_clusters_cluster_id", "content_clusters", ["account_id", "cluster_id"]
    )
