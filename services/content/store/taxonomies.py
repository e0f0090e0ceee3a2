"""Rows of taxonomy terms and their links to contents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from chassis import clock
from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.ids import new_id
from chassis.pages import PageQuery, paginate
from chassis.statements import insert_if_absent
from chassis.tenancy import owned, visible
from services.content.domain import TaxonomyType, Term, slug_of
from services.content.schema import content_terms, contents, taxonomies

_SORTABLE = {"name": taxonomies.c.name, "created_at": taxonomies.c.create_time}


class TaxonomyStore:
    """Terms that one caller may see, over one connection.

    Terms belong to a site: the sector in which one was made does not hide it from another.
    """

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def get(self, term_id: str) -> Term:
        """Raises NotFound."""
        row = self._connection.execute(
            self._select().where(taxonomies.c.id == term_id)
        ).one_or_none()
        if row is None:
            raise NotFound("taxonomy", term_id)
        return term_from_row(row)

    def name_of(self, term_id: str) -> str:
        """Name of a term; empty when there is none."""
        if not term_id:
            return ""
        found = self._connection.execute(
            select(taxonomies.c.name).where(*self._visible(), taxonomies.c.id == term_id)
        ).scalar_one_or_none()
        return found or ""

    def page(
        self, query: PageQuery, taxonomy_type: str, search: str
    ) -> tuple[list[Term], str, int]:
        """One page of terms, the token of the next, and how many there are."""
        statement = self._select()
        if taxonomy_type:
            statement = statement.where(taxonomies.c.taxonomy_type == taxonomy_type)
        if search:
            statement = statement.where(taxonomies.c.name.icontains(search, autoescape=True))
        found = paginate(
            self._connection,
            statement,
            query,
            sortable=_SORTABLE,
            default="name",
            tie=taxonomies.c.id,
        )
        return [term_from_row(row) for row in found.rows], found.next_token, found.total_size

    def ensure(self, names: Iterable[str], taxonomy_type: TaxonomyType) -> list[str]:
        """Ids of the site's terms with these names, made where they are missing.

        Terms are told apart by slug, so `Coffee` and `coffee` are one; a name without letters
        or digits has none and is left out.
        """
        slugs = {slug: name for name in names if (slug := slug_of(name))}
        now = clock.now()
        # In one order, so that two articles with the same terms wait and do not deadlock.
        for slug in sorted(slugs):
            insert_if_absent(
                self._connection,
                taxonomies,
                **owned(self._caller),
                id=new_id(),
                revision=1,
                name=slugs[slug],
                slug=slug,
                taxonomy_type=taxonomy_type,
                parent_id="",
                description="",
                external_taxonomy="",
                external_id="",
                sync_status="native",
                metadata={},
                create_time=now,
                update_time=now,
            )
        rows = self._connection.execute(
            select(taxonomies.c.id, taxonomies.c.slug).where(
                *self._visible(),
                taxonomies.c.site_id == self._caller.site_id,
                taxonomies.c.taxonomy_type == taxonomy_type,
                taxonomies.c.slug.in_(slugs),
            )
        )
        by_slug = {row.slug: row.id for row in rows}
        return [by_slug[slug] for slug in slugs]

    def link(self, content_id: str, term_ids: Iterable[str]) -> None:
        """Files a content under terms; a link that is there stays, an unknown term is left out."""
        wanted = list(dict.fromkeys(term_ids))
        known = self._connection.execute(
            select(taxonomies.c.id).where(*self._visible(), taxonomies.c.id.in_(wanted))
        ).scalars()
        for term_id in sorted(known):
            insert_if_absent(
                self._connection,
                content_terms,
                account_id=self._caller.account_id,
                content_id=content_id,
                taxonomy_id=term_id,
            )

    def _visible(self) -> list[Any]:
        return visible(taxonomies, self._caller, by_sector=False)

    def _select(self) -> Select[Any]:
        live = (
            select(func.count())
            .select_from(content_terms)
            .join(
                contents,
                (contents.c.account_id == content_terms.c.account_id)
                & (contents.c.id == content_terms.c.content_id),
            )
            .where(
                content_terms.c.account_id == taxonomies.c.account_id,
                content_terms.c.taxonomy_id == taxonomies.c.id,
                contents.c.delete_time.is_(None),
            )
            .scalar_subquery()
        )
        return select(taxonomies, live.label("live_contents")).where(*self._visible())


def term_from_row(row: Row[Any]) -> Term:
    """A term from its row and the number of its live contents."""
    return Term(
        id=row.id,
        revision=row.revision,
        site_id=row.site_id,
        sector_id=row.sector_id,
        name=row.name,
        slug=row.slug,
        taxonomy_type=TaxonomyType(row.taxonomy_type),
        parent_id=row.parent_id,
        description=row.description,
        external_taxonomy=row.external_taxonomy,
        external_id=row.external_id,
        sync_status=row.sync_status,
        count=row.live_contents,
        metadata=row.metadata,
        create_time=row.create_time,
        update_time=row.update_time,
    )
