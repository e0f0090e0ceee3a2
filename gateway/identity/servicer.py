"""The gRPC edge of identity: parse, call the service, map."""

from __future__ import annotations

from typing import Any

from writer.identity.v1 import identity_pb2, identity_pb2_grpc, sites_pb2, sites_pb2_grpc

from chassis import caller
from chassis.pages import PageQuery
from chassis.replies import Reply
from gateway.identity import mapping
from gateway.identity.service.accounts import Accounts
from gateway.identity.service.keys import Keys
from gateway.identity.service.sessions import Sessions
from gateway.identity.service.sites import Sites


class IdentityServicer(identity_pb2_grpc.IdentityServiceServicer):
    """Accounts, users and their credentials."""

    def __init__(self, accounts: Accounts, sessions: Sessions, keys: Keys) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._keys = keys

    async def Register(
        self, request: identity_pb2.RegisterRequest, context: Any
    ) -> identity_pb2.Session:
        reply = Reply(
            caller.current(),
            "Register",
            mapping.without_password(request),
            identity_pb2.Session,
            mapping.registered_to_proto,
        )
        asked = mapping.registration_from_proto(request)
        return mapping.session_to_proto(await self._accounts.register(asked, reply))

    async def Login(self, request: identity_pb2.LoginRequest, context: Any) -> identity_pb2.Session:
        session = await self._sessions.login(request.email, request.password)
        return mapping.session_to_proto(session)

    async def GetMe(self, request: identity_pb2.GetMeRequest, context: Any) -> identity_pb2.Me:
        return mapping.me_to_proto(await self._sessions.get_me(caller.current()))

    async def CreateApiKey(
        self, request: identity_pb2.CreateApiKeyRequest, context: Any
    ) -> identity_pb2.ApiKey:
        who = caller.current()
        reply = Reply(who, "CreateApiKey", request, identity_pb2.ApiKey, mapping.api_key_to_proto)
        asked = mapping.key_request_from_proto(request.api_key)
        answer, key = await self._keys.create_api_key(asked, who, reply)
        answer.key = key
        return answer

    async def ListApiKeys(
        self, request: identity_pb2.ListApiKeysRequest, context: Any
    ) -> identity_pb2.ListApiKeysResponse:
        keys, token, total = await self._keys.list_api_keys(caller.current(), PageQuery.of(request))
        return identity_pb2.ListApiKeysResponse(
            api_keys=[mapping.api_key_to_proto(key) for key in keys],
            next_page_token=token,
            total_size=total,
        )

    async def RevokeApiKey(
        self, request: identity_pb2.RevokeApiKeyRequest, context: Any
    ) -> identity_pb2.ApiKey:
        key = await self._keys.revoke_api_key(request.id, caller.current())
        return mapping.api_key_to_proto(key)


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
