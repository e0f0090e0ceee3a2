"""Reading contents and terms."""

from __future__ import annotations

from chassis.caller import Caller
from chassis.database import Database
from chassis.pages import PageQuery
from services.content.domain import Content, Term
from services.content.store.content_selects import ContentFilter
from services.content.store.contents import ContentStore
from services.content.store.taxonomies import TaxonomyStore


class Reading:
    """Contents and terms as callers see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def content(self, caller: Caller, content_id: str) -> Content:
        """With its body. Raises NotFound."""
        return await self._database.glance(
            lambda connection: ContentStore(connection, caller).get(content_id)
        )

    async def contents(
        self, caller: Caller, query: PageQuery, wanted: ContentFilter, *, full: bool
    ) -> tuple[list[Content], str, int]:
        """One page, the token of the next, and how many there are."""
        return await self._database.glance(
            lambda connection: ContentStore(connection, caller).page(query, wanted, full=full)
        )

    async def term(self, caller: Caller, term_id: str) -> Term:
        """Raises NotFound."""
        return await self._database.glance(
            lambda connection: TaxonomyStore(connection, caller).get(term_id)
        )

    async def terms(
        self, caller: Caller, query: PageQuery, taxonomy_type: str, search: str
    ) -> tuple[list[Term], str, int]:
        """One page, the token of the next, and how many there are."""
        return await self._database.glance(
            lambda connection: TaxonomyStore(connection, caller).page(query, taxonomy_type, search)
        )
