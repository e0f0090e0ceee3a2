"""The gRPC edge of sites and sectors."""

from __future__ import annotations

from typing import Any

from writer.identity.v1 import sites_pb2, sites_pb2_grpc

from chassis import caller
from chassis.pages import PageQuery
from chassis.replies import Reply
from gateway.identity import mapping
from gateway.identity.service.sites import Sites


class SiteServicer(sites_pb2_grpc.SiteServiceServicer):
    """Sites and their sectors."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites

    async def CreateSite(
        self, request: sites_pb2.CreateSiteRequest, context: Any
    ) -> sites_pb2.Site:
        who, site = caller.current(), request.site
        reply = Reply(who, "CreateSite", request, sites_pb2.Site, mapping.site_to_proto)
        return await self._sites.create_site(site.name, site.url, who, reply)

    async def GetSite(self, request: sites_pb2.GetSiteRequest, context: Any) -> sites_pb2.Site:
        site = await self._sites.get_site(request.id, caller.current())
        return mapping.site_to_proto(site)

    async def ListSites(
        self, request: sites_pb2.ListSitesRequest, context: Any
    ) -> sites_pb2.ListSitesResponse:
        sites, token, total = await self._sites.list_sites(caller.current(), PageQuery.of(request))
        return sites_pb2.ListSitesResponse(
            sites=[mapping.site_to_proto(site) for site in sites],
            next_page_token=token,
            total_size=total,
        )

    async def CreateSector(
        self, request: sites_pb2.CreateSectorRequest, context: Any
    ) -> sites_pb2.Sector:
        who, sector = caller.current(), request.sector
        reply = Reply(who, "CreateSector", request, sites_pb2.Sector, mapping.sector_to_proto)
        return await self._sites.create_sector(sector.site_id, sector.name, who, reply)

    async def GetSector(
        self, request: sites_pb2.GetSectorRequest, context: Any
    ) -> sites_pb2.Sector:
        sector = await self._sites.get_sector(request.id, caller.current())
        return mapping.sector_to_proto(sector)

    async def ListSectors(
        self, request: sites_pb2.ListSectorsRequest, context: Any
    ) -> sites_pb2.ListSectorsResponse:
        sectors, token, total = await self._sites.list_sectors(
            caller.current(), PageQuery.of(request), request.site_id
        )
        return sites_pb2.ListSectorsResponse(
            sectors=[mapping.sector_to_proto(sector) for sector in sectors],
            next_page_token=token,
            total_size=total,
        )
