"""Tables of the content service. Keys start with the account, so that rows can be split by it."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from chassis.columns import JsonDocument, UtcDateTime, tenant_columns
from chassis.plumbing import new_metadata

metadata = new_metadata()


clusters = Table(
    "clusters",
    metadata,
    *tenant_columns(),
    Column("revision", Integer, nullable=False),
    Column("name", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Index("uq_clusters_name", "account_id", "site_id", "sector_id", "name", unique=True),
)

taxonomies = Table(
    "taxonomies",
    metadata,
    *tenant_columns(),
    Column("revision", Integer, nullable=False),
    Column("name", String(200), nullable=False),
    Column("slug", String(200), nullable=False),
    Column("taxonomy_type", String(16), nullable=False),
    Column("parent_id", String(36), nullable=False),
    Column("description", Text, nullable=False),
    Column("external_taxonomy", String(100), nullable=False),
    Column("external_id", String(100), nullable=False),
    Column("sync_status", String(16), nullable=False),
    Column("metadata", JsonDocument, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Index("uq_taxonomies_slug", "account_id", "site_id", "taxonomy_type", "slug", unique=True),
)
Index(
    "uq_taxonomies_external",
    taxonomies.c.account_id,
    taxonomies.c.site_id,
    taxonomies.c.external_taxonomy,
    taxonomies.c.external_id,
    unique=True,
    sqlite_where=taxonomies.c.external_id != "",
    postgresql_where=taxonomies.c.external_id != "",
)

contents = Table(
    "contents",
    metadata,
    *tenant_columns(),
    Column("revision", Integer, nullable=False),
    Column("sector_name", String(200), nullable=False),
    Column("title", String(500), nullable=False),
    Column("content_html", Text, nullable=False),
    Column("excerpt", Text, nullable=False),
    Column("meta_title", String(200), nullable=False),
    Column("meta_description", String(500), nullable=False),
    Column("primary_keyword", String(100), nullable=False),
    Column("secondary_keywords", JsonDocument, nullable=False),
    Column("cluster_id", String(36), nullable=False),
    Column("content_type", String(32), nullable=False),
    Column("content_structure", String(32), nullable=False),
    Column("external_id", String(100), nullable=False),
    Column("external_url", Text, nullable=False),
    Column("external_type", String(100), nullable=False),
    Column("external_metadata", JsonDocument, nullable=False),
    Column("sync_status", String(16), nullable=False),
    Column("source", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("word_count", Integer, nullable=False),
    Column("task_id", String(36), nullable=False),
    Column("generation_id", String(36), nullable=False),
    # What the images service last reported, and which of its reports that was.
    Column("image_set_version", Integer, nullable=False),
    Column("has_featured", Boolean, nullable=False),
    Column("images_pending", Integer, nullable=False),
    Column("images_generated", Integer, nullable=False),
    Column("images_failed", Integer, nullable=False),
    Column("provenance", JsonDocument, nullable=False),
    Column("publish_time", UtcDateTime, nullable=True),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("delete_time", UtcDateTime, nullable=True),
    Index("ix_contents_account_id_create_time", "account_id", "create_time", "id"),
    Index("ix_contents_account_id_cluster_id", "account_id", "cluster_id"),
    Index("ix_contents_account_id_task_id", "account_id", "task_id"),
)
# All that a site's list is ordered and counted by, so that a total needs no row.
Index(
    "ix_contents_live",
    contents.c.account_id,
    contents.c.site_id,
    contents.c.create_time,
    contents.c.id,
    contents.c.sector_id,
    sqlite_where=contents.c.delete_time.is_(None),
    postgresql_where=contents.c.delete_time.is_(None),
)
# One content for a generation, however often its request is delivered.
Index(
    "uq_contents_generation_id",
    contents.c.account_id,
    contents.c.generation_id,
    unique=True,
    sqlite_where=contents.c.generation_id != "",
    postgresql_where=contents.c.generation_id != "",
)

content_revisions = Table(
    "content_revisions",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("content_id", String(36), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("author", String(64), nullable=False),
    Column("base_number", Integer, nullable=False),
    Column("snapshot", JsonDocument, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
)

content_terms = Table(
    "content_terms",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("content_id", String(36), primary_key=True),
    Column("taxonomy_id", String(36), primary_key=True),
    Index("ix_content_terms_taxonomy_id", "account_id", "taxonomy_id"),
)

content_clusters = Table(
    "content_clusters",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("content_id", String(36), primary_key=True),
    Column("cluster_id", String(36), primary_key=True),
    Column("role", String(16), nullable=False),
    Index("ix_content_clusters_cluster_id", "account_id", "cluster_id"),
)
