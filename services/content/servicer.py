"""The gRPC edge of the content service: parse, call, map."""

from __future__ import annotations

from typing import Any

from writer.content.v1 import (
    clusters_pb2,
    clusters_pb2_grpc,
    content_pb2,
    content_pb2_grpc,
    taxonomy_pb2,
    taxonomy_pb2_grpc,
)
from writer.types.v1 import types_pb2

from chassis import caller
from chassis.pages import PageQuery
from chassis.replies import Reply
from services.content.mapping import (
    cluster_to_proto,
    content_to_proto,
    page_to_proto,
    term_to_proto,
)
from services.content.service.clusters import Clusters
from services.content.service.reading import Reading
from services.content.store.content_selects import ContentFilter


class ContentServicer(content_pb2_grpc.ContentServiceServicer):
    """See protos/writer/content/v1/content.proto."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def GetContent(
        self, request: content_pb2.GetContentRequest, context: Any
    ) -> content_pb2.Content:
        return content_to_proto(await self._reading.content(caller.current(), request.id))

    async def ListContents(
        self, request: content_pb2.ListContentsRequest, context: Any
    ) -> content_pb2.ListContentsResponse:
        contents, token, total = await self._reading.contents(
            caller.current(),
            PageQuery.of(request),
            _filter(request),
            full=request.view == content_pb2.ListContentsRequest.full,
        )
        return page_to_proto(contents, token, total)


class TaxonomyServicer(taxonomy_pb2_grpc.TaxonomyServiceServicer):
    """See protos/writer/content/v1/taxonomy.proto."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def GetTaxonomy(
        self, request: taxonomy_pb2.GetTaxonomyRequest, context: Any
    ) -> taxonomy_pb2.Taxonomy:
        return term_to_proto(await self._reading.term(caller.current(), request.id))

    async def ListTaxonomies(
        self, request: taxonomy_pb2.ListTaxonomiesRequest, context: Any
    ) -> taxonomy_pb2.ListTaxonomiesResponse:
        kind = request.taxonomy_type
        terms, token, total = await self._reading.terms(
            caller.current(),
            PageQuery.of(request),
            taxonomy_pb2.Taxonomy.Type.Name(kind) if kind else "",
            request.search,
        )
        return taxonomy_pb2.ListTaxonomiesResponse(
            taxonomies=[term_to_proto(term) for term in terms],
            next_page_token=token,
            total_size=total,
        )


class ClusterServicer(clusters_pb2_grpc.ClusterServiceServicer):
    """See protos/writer/content/v1/clusters.proto."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    async def CreateCluster(
        self, request: clusters_pb2.CreateClusterRequest, context: Any
    ) -> clusters_pb2.Cluster:
        who, asked = caller.current(), request.cluster
        reply = Reply(who, "CreateCluster", request, clusters_pb2.Cluster, cluster_to_proto)
        return await self._clusters.create(
            who, asked.name.strip(), asked.description, reply, disabled=asked.disabled
        )

    async def GetCluster(
        self, request: clusters_pb2.GetClusterRequest, context: Any
    ) -> clusters_pb2.Cluster:
        return cluster_to_proto(await self._clusters.get(caller.current(), request.id))

    async def ListClusters(
        self, request: clusters_pb2.ListClustersRequest, context: Any
    ) -> clusters_pb2.ListClustersResponse:
        clusters, token, total = await self._clusters.page(
            caller.current(), PageQuery.of(request), request.search
        )
        return clusters_pb2.ListClustersResponse(
            clusters=[cluster_to_proto(cluster) for cluster in clusters],
            next_page_token=token,
            total_size=total,
        )


def _filter(request: content_pb2.ListContentsRequest) -> ContentFilter:
    """What the request filters by; zero enum values mean any."""
    names: dict[str, tuple[Any, int]] = {
        "status": (content_pb2.Content.Status, request.status),
        "content_type": (types_pb2.ContentType.Value, request.content_type),
        "content_structure": (types_pb2.ContentStructure.Value, request.content_structure),
        "source": (content_pb2.Content.Source, request.source),
        "sync_status": (types_pb2.SyncStatus.Value, request.sync_status),
    }
    equal = {name: kind.Name(value) for name, (kind, value) in names.items() if value}
    equal |= {"cluster_id": request.cluster_id, "task_id": request.task_id}
    return ContentFilter(
        equal=equal, taxonomy_term_id=request.taxonomy_term_id, search=request.search
    )
