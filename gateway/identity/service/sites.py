"""Sites and sectors: made, read, listed."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection

from chassis import clock
from chassis.access import require_whole_account
from chassis.caller import Caller
from chassis.database import Database
from chassis.ids import new_id
from chassis.pages import PageQuery
from chassis.replies import Reply
from gateway.identity.domain import DEFAULT_SECTOR_NAME, Deed, Sector, Site
from gateway.identity.errors import UnknownSite
from gateway.identity.store.audit import AuditStore
from gateway.identity.store.sites import SiteStore

_M = TypeVar("_M", bound=Message)


class Sites:
    """What articles are written for, and its parts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_site(self, name: str, url: str, caller: Caller, reply: Reply[Site, _M]) -> _M:
        """Makes a site with its default sector. Raises AlreadyExists.

        Raises Forbidden for a caller who is limited to some sites: the new one is none of
        them, so the caller could not even see it.
        """
        require_whole_account(caller)
        now = clock.now()
        site = Site(
            id=new_id(),
            account_id=caller.account_id,
            name=name.strip(),
            url=url.strip(),
            default_sector_id=new_id(),
            create_time=now,
        )
        sector = Sector(
            id=site.default_sector_id,
            account_id=caller.account_id,
            site_id=site.id,
            name=DEFAULT_SECTOR_NAME,
            create_time=now,
        )

        def create(connection: Connection) -> Site:
            SiteStore(connection, caller).create(site, sector)
            AuditStore(connection, caller).record(
                Deed(action="site.created", object_id=site.id, after={"name": site.name})
            )
            return site

        return await self._database.write(
            lambda connection: reply.once(connection, lambda: create(connection))
        )

    async def get_site(self, site_id: str, caller: Caller) -> Site:
        """One site. Raises NotFound."""
        return await self._database.read(
            lambda connection: SiteStore(connection, caller).get(site_id)
        )

    async def list_sites(self, caller: Caller, query: PageQuery) -> tuple[list[Site], str, int]:
        """One page of sites, the token of the next one, and how many there are."""
        return await self._database.read(
            lambda connection: SiteStore(connection, caller).list_sites(query)
        )

    async def create_sector(
        self, site_id: str, name: str, caller: Caller, reply: Reply[Sector, _M]
    ) -> _M:
        """Makes a sector in a site that the caller may see. Raises UnknownSite, AlreadyExists."""
        sector = Sector(
            id=new_id(),
            account_id=caller.account_id,
            site_id=site_id,
            name=name.strip(),
            create_time=clock.now(),
        )

        def create(connection: Connection) -> Sector:
            store = SiteStore(connection, caller)
            if store.find(site_id) is None:
                raise UnknownSite("sector.site_id")
            store.create_sector(sector)
            told = {"site_id": site_id, "name": sector.name}
            AuditStore(connection, caller).record(
                Deed(action="sector.created", object_id=sector.id, after=told)
            )
            return sector

        return await self._database.write(
            lambda connection: reply.once(connection, lambda: create(connection))
        )

    async def get_sector(self, sector_id: str, caller: Caller) -> Sector:
        """One sector. Raises NotFound."""
        return await self._database.read(
            lambda connection: SiteStore(connection, caller).get_sector(sector_id)
        )

    async def list_sectors(
        self, caller: Caller, query: PageQuery, site_id: str
    ) -> tuple[list[Sector], str, int]:
        """One page of sectors, of one site or all, with the next token and the total."""
        return await self._database.read(
            lambda connection: SiteStore(connection, caller).list_sectors(query, site_id)
        )
