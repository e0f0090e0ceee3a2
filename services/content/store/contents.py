"""Rows of contents, their revisions and their places in clusters."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, update

from chassis import clock
from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.pages import PageQuery, paginate
from chassis.statements import insert_if_absent
from chassis.tenancy import Sight, owned, tenant_of, visible
from services.content.domain import (
    Article,
    Brief,
    Content,
    ContentStatus,
    ImageFlags,
    cluster_role,
)
from services.content.schema import content_clusters, content_revisions, contents
from services.content.store.content_selects import (
    ContentFilter,
    content_by_id,
    content_from_row,
    filtered,
    listed_contents,
    terms_of,
)

_SORTABLE = {
    "title": contents.c.title,
    "created_at": contents.c.create_time,
    "status": contents.c.status,
}


class ContentStore:
    """Contents that one caller may see, over one connection."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def create_generated(
        self, content_id: str, brief: Brief, article: Article, *, task_id: str, generation_id: str
    ) -> bool:
        """Inserts what a generation wrote; false when that generation has its content already."""
        now = clock.now()
        created = insert_if_absent(
            self._connection,
            contents,
            **owned(self._caller),
            id=content_id,
            revision=1,
            sector_name=brief.sector_name,
            title=article.title,
            content_html=article.content_html,
            excerpt=article.excerpt,
            meta_title=article.meta_title,
            meta_description=article.meta_description,
            primary_keyword=article.primary_keyword,
            secondary_keywords=list(article.secondary_keywords),
            cluster_id=brief.cluster_id,
            content_type=brief.content_type,
            content_structure=brief.content_structure,
            external_id="",
            external_url="",
            external_type="",
            external_metadata={},
            sync_status="native",
            source="igny8",
            status=ContentStatus.DRAFT,
            word_count=article.word_count,
            task_id=task_id,
            generation_id=generation_id,
            image_set_version=0,
            has_featured=False,
            images_pending=0,
            images_generated=0,
            images_failed=0,
            provenance=article.provenance,
            create_time=now,
            update_time=now,
        )
        if created:
            self._add_revision(content_id, article)
            self._place_in_cluster(content_id, brief)
        return created

    def get(self, content_id: str) -> Content:
        """With its body. Raises NotFound, also for a deleted content."""
        row = self._connection.execute(
            content_by_id(Sight.of(self._caller)),
            {**tenant_of(self._caller), "content_id": content_id},
        ).one_or_none()
        if row is None:
            raise NotFound("content", content_id)
        return content_from_row(row)

    def page(
        self, query: PageQuery, wanted: ContentFilter, *, full: bool
    ) -> tuple[list[Content], str, int]:
        """One page of contents, the token of the next, and how many there are."""
        equal = {name: value for name, value in wanted.equal.items() if value}
        statement = listed_contents(Sight.of(self._caller), tuple(sorted(equal)), full=full)
        found = paginate(
            self._connection,
            filtered(statement, wanted),
            query,
            sortable=_SORTABLE,
            default="-created_at",
            tie=contents.c.id,
            values={**tenant_of(self._caller), **equal},
            kept=not (wanted.search or wanted.taxonomy_term_id),
            beside=terms_of,
        )
        return [content_from_row(row) for row in found.rows], found.next_token, found.total_size

    def note_images(self, content_id: str, flags: ImageFlags, version: int) -> bool:
        """Stores a report of the images service unless a newer one is there or the content is gone.

        A report is newer by its version alone: reports may arrive in any order.
        """
        result = self._connection.execute(
            update(contents)
            .where(
                *self._live(), contents.c.id == content_id, contents.c.image_set_version <= version
            )
            .values(
                image_set_version=version,
                has_featured=flags.has_featured,
                images_pending=flags.pending,
                images_generated=flags.generated,
                images_failed=flags.failed,
                update_time=clock.now(),
            )
        )
        return result.rowcount == 1

    def note_featured(self, content_id: str) -> None:
        """The featured picture is stored."""
        self._connection.execute(
            update(contents)
            .where(*self._live(), contents.c.id == content_id)
            .values(has_featured=True)
        )

    def change_status(self, content_id: str, before: ContentStatus, after: ContentStatus) -> bool:
        """Moves a content on; false when it was not in the expected state any more."""
        result = self._connection.execute(
            update(contents)
            .where(*self._live(), contents.c.id == content_id, contents.c.status == before)
            .values(status=after, revision=contents.c.revision + 1, update_time=clock.now())
        )
        return result.rowcount == 1

    def _add_revision(self, content_id: str, article: Article) -> None:
        self._connection.execute(
            insert(content_revisions).values(
                account_id=self._caller.account_id,
                content_id=content_id,
                number=1,
                author=self._caller.principal,
                base_number=0,
                snapshot={
                    "title": article.title,
                    "content_html": article.content_html,
                    "excerpt": article.excerpt,
                    "meta_title": article.meta_title,
                    "meta_description": article.meta_description,
                    "provenance": article.provenance,
                },
                create_time=clock.now(),
            )
        )

    def _place_in_cluster(self, content_id: str, brief: Brief) -> None:
        self._connection.execute(
            insert(content_clusters).values(
                account_id=self._caller.account_id,
                content_id=content_id,
                cluster_id=brief.cluster_id,
                role=cluster_role(brief.content_structure),
            )
        )

    def _live(self) -> list[Any]:
        return [*visible(contents, self._caller), contents.c.delete_time.is_(None)]
