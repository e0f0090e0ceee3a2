"""Domain to contract and back; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.struct_pb2 import Struct
from writer.content.v1 import clusters_pb2, content_pb2, taxonomy_pb2
from writer.events.v1 import generation_pb2
from writer.types.v1 import types_pb2

from chassis.times import to_timestamp
from services.content.domain import Brief, Cluster, Content, Term, TermReference

# Looked up once: a page of a list has hundreds of them.
_TYPES = dict(types_pb2.ContentType.Value.items())
_STRUCTURES = dict(types_pb2.ContentStructure.Value.items())
_SYNC_STATUSES = dict(types_pb2.SyncStatus.Value.items())
_SOURCES = dict(content_pb2.Content.Source.items())
_STATUSES = dict(content_pb2.Content.Status.items())


def brief_from_event(brief: generation_pb2.Brief) -> Brief:
    """The brief as the tasks service sent it; names of cluster and term are looked up here."""
    return Brief(
        title=brief.title,
        description=brief.description,
        keywords=brief.keywords,
        content_type=types_pb2.ContentType.Value.Name(brief.content_type),
        content_structure=types_pb2.ContentStructure.Value.Name(brief.content_structure),
        word_count=brief.word_count,
        prompt_override=brief.prompt_override,
        cluster_id=brief.cluster_id,
        taxonomy_term_id=brief.taxonomy_term_id,
        sector_name=brief.sector_name,
    )


def content_to_proto(content: Content) -> content_pb2.Content:
    """The content as callers see it."""
    return content_pb2.Content(**_content_fields(content))


def page_to_proto(
    found: Sequence[Content], next_token: str, total: int
) -> content_pb2.ListContentsResponse:
    """A page of contents as callers see it."""
    listed: Any = [_content_fields(content) for content in found]
    return content_pb2.ListContentsResponse(
        contents=listed, next_page_token=next_token, total_size=total
    )


def _content_fields(content: Content) -> dict[str, Any]:
    """What the message is made of.

    As fields all the way down: a message that becomes part of another is serialized and parsed.
    """
    return {
        "id": content.id,
        "etag": str(content.revision),
        "site_id": content.site_id,
        "sector_id": content.sector_id,
        "sector_name": content.sector_name,
        "title": content.title,
        "content_html": content.content_html,
        "excerpt": content.excerpt,
        "meta_title": content.meta_title,
        "meta_description": content.meta_description,
        "primary_keyword": content.primary_keyword,
        "secondary_keywords": content.secondary_keywords,
        "cluster_id": content.cluster_id,
        "cluster_name": content.cluster_name,
        "content_type": _TYPES[content.content_type],
        "content_structure": _STRUCTURES[content.content_structure],
        "categories": [_reference(term) for term in content.categories],
        "tags": [_reference(term) for term in content.tags],
        "external_id": content.external_id,
        "external_url": content.external_url,
        "external_type": content.external_type,
        "external_metadata": _struct(content.external_metadata),
        "sync_status": _SYNC_STATUSES[content.sync_status],
        "source": _SOURCES[content.source],
        "status": _STATUSES[content.status],
        "word_count": content.word_count,
        "task_id": content.task_id,
        "generation_id": content.generation_id,
        "images": {
            "has_featured": content.has_featured,
            "pending": content.images_pending,
            "generated": content.images_generated,
            "failed": content.images_failed,
        },
        "provenance": content.provenance,
        "publish_time": to_timestamp(content.publish_time),
        "create_time": to_timestamp(content.create_time),
        "update_time": to_timestamp(content.update_time),
    }


def term_to_proto(term: Term) -> taxonomy_pb2.Taxonomy:
    """The term as callers see it."""
    return taxonomy_pb2.Taxonomy(
        id=term.id,
        etag=str(term.revision),
        site_id=term.site_id,
        sector_id=term.sector_id,
        name=term.name,
        slug=term.slug,
        taxonomy_type=taxonomy_pb2.Taxonomy.Type.Value(term.taxonomy_type),
        parent_id=term.parent_id,
        description=term.description,
        external_taxonomy=term.external_taxonomy,
        external_id=term.external_id,
        sync_status=types_pb2.SyncStatus.Value.Value(term.sync_status),
        count=term.count,
        metadata=_struct(term.metadata),
        create_time=to_timestamp(term.create_time),
        update_time=to_timestamp(term.update_time),
    )


def cluster_to_proto(cluster: Cluster) -> clusters_pb2.Cluster:
    """The cluster as callers see it."""
    return clusters_pb2.Cluster(
        id=cluster.id,
        etag=str(cluster.revision),
        site_id=cluster.site_id,
        sector_id=cluster.sector_id,
        name=cluster.name,
        description=cluster.description,
        status=clusters_pb2.Cluster.Status.Value(cluster.status),
        disabled=cluster.disabled,
        create_time=to_timestamp(cluster.create_time),
        update_time=to_timestamp(cluster.update_time),
    )


def _reference(term: TermReference) -> dict[str, str]:
    return {"id": term.id, "name": term.name, "slug": term.slug}


def _struct(values: dict[str, Any]) -> Struct | None:
    """Absent rather than empty."""
    if not values:
        return None
    struct = Struct()
    struct.update(values)
    return struct
