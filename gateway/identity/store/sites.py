"""Rows of sites and sectors."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from chassis.caller import Caller
from chassis.errors import AlreadyExists, NotFound
from chassis.pages import PageQuery, paginate
from chassis.statements import insert_if_absent
from chassis.tenancy import visible
from gateway.identity.domain import Sector, Site
from gateway.identity.schema import sectors, sites

_SORTABLE_SITES = {"name": sites.c.name, "created_at": sites.c.create_time}
_SORTABLE_SECTORS = {"name": sectors.c.name, "created_at": sectors.c.create_time}


class SiteStore:
    """Sites and sectors that one caller may see, over one connection."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def create(self, site: Site, default_sector: Sector) -> None:
        """Inserts a site with its default sector. Raises AlreadyExists for a name in use."""
        fresh = insert_if_absent(
            self._connection,
            sites,
            account_id=self._caller.account_id,
            id=site.id,
            name=site.name,
            url=site.url,
            default_sector_id=default_sector.id,
            create_time=site.create_time,
        )
        if not fresh:
            raise AlreadyExists("site", self._id_by_name(sites, site.name))
        self.create_sector(default_sector)

    def create_sector(self, sector: Sector) -> None:
        """Inserts a sector. Raises AlreadyExists for a name in use."""
        fresh = insert_if_absent(
            self._connection,
            sectors,
            account_id=self._caller.account_id,
            id=sector.id,
            site_id=sector.site_id,
            name=sector.name,
            create_time=sector.create_time,
        )
        if not fresh:
            in_site = sectors.c.site_id == sector.site_id
            raise AlreadyExists("sector", self._id_by_name(sectors, sector.name, in_site))

    def find(self, site_id: str) -> Site | None:
        """The site, if the caller may see it."""
        row = self._connection.execute(
            select(sites).where(*self._visible_sites(), sites.c.id == site_id)
        ).one_or_none()
        return None if row is None else _site_from_row(row)

    def find_sector(self, sector_id: str) -> Sector | None:
        """The sector, if the caller may see it."""
        row = self._connection.execute(
            select(sectors).where(*visible(sectors, self._caller), sectors.c.id == sector_id)
        ).one_or_none()
        return None if row is None else _sector_from_row(row)

    def get(self, site_id: str) -> Site:
        """One site. Raises NotFound."""
        site = self.find(site_id)
        if site is None:
            raise NotFound("site", site_id)
        return site

    def get_sector(self, sector_id: str) -> Sector:
        """One sector. Raises NotFound."""
        sector = self.find_sector(sector_id)
        if sector is None:
            raise NotFound("sector", sector_id)
        return sector

    def first(self) -> Site | None:
        """The oldest site that the caller may see."""
        row = self._connection.execute(
            select(sites)
            .where(*self._visible_sites())
            .order_by(sites.c.create_time, sites.c.id)
            .limit(1)
        ).one_or_none()
        return None if row is None else _site_from_row(row)

    def active(self, site_id: str) -> Site | None:
        """The site that somebody works on: the one they chose, or the oldest they may see."""
        chosen = self.find(site_id) if site_id else None
        return chosen or self.first()

    def list_sites(self, query: PageQuery) -> tuple[list[Site], str, int]:
        """One page, the token of the next one, and how many there are."""
        page = paginate(
            self._connection,
            select(sites).where(*self._visible_sites()),
            query,
            sortable=_SORTABLE_SITES,
            default="-created_at",
            tie=sites.c.id,
        )
        return [_site_from_row(row) for row in page.rows], page.next_token, page.total_size

    def list_sectors(self, query: PageQuery, site_id: str) -> tuple[list[Sector], str, int]:
        """One page of the sectors of one site, or of all sites when `site_id` is empty."""
        statement = select(sectors).where(*visible(sectors, self._caller))
        if site_id:
            statement = statement.where(sectors.c.site_id == site_id)
        page = paginate(
            self._connection,
            statement,
            query,
            sortable=_SORTABLE_SECTORS,
            default="-created_at",
            tie=sectors.c.id,
        )
        return [_sector_from_row(row) for row in page.rows], page.next_token, page.total_size

    def _visible_sites(self) -> list[ColumnElement[bool]]:
        # A chosen site narrows what is in sites, not the list to choose from.
        conditions = visible(sites, self._caller)
        if self._caller.allowed_sites is not None:
            conditions.append(sites.c.id.in_(self._caller.allowed_sites))
        return conditions

    def _id_by_name(self, table: Any, name: str, *within: ColumnElement[bool]) -> str:
        row_id: str = self._connection.execute(
            select(table.c.id).where(
                table.c.account_id == self._caller.account_id, table.c.name == name, *within
            )
        ).scalar_one()
        return row_id


def _site_from_row(row: Row[Any]) -> Site:
    return Site(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        url=row.url,
        default_sector_id=row.default_sector_id,
        create_time=row.create_time,
    )


def _sector_from_row(row: Row[Any]) -> Sector:
    return Sector(
        id=row.id,
        account_id=row.account_id,
        site_id=row.site_id,
        name=row.name,
        create_time=row.create_time,
    )
