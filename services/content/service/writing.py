"""One generation: from a request to a stored content, or to a failure that says why.

A worker may die anywhere in here. Before the last transaction nothing is stored, and the
next delivery asks the model again; after it the next delivery finds the event handled. Two
workers with the same request store one content: it is unique by its generation.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from google.protobuf.message import Message
from sqlalchemy import Connection
from writer.events.v1 import content_pb2, generation_pb2

from chassis import inbox
from chassis.caller import Caller
from chassis.consumers import Delivery
from chassis.database import Database
from chassis.ids import derived_id
from chassis.model import Spent, Unanswered
from chassis.model_errors import log_fields
from chassis.outbox import Outbox
from services.content.domain import Article, Brief, ContentStatus, TaxonomyType
from services.content.mapping import brief_from_event
from services.content.providers.author import Author
from services.content.store.clusters import ClusterStore
from services.content.store.contents import ContentStore
from services.content.store.taxonomies import TaxonomyStore

NAME = "content"
INTERNAL = "INTERNAL"
"""Reason of a generation that no delivery could bring to an end."""
DETAIL_CHARS_MAX = 500
log = logging.getLogger(__name__)


class Writing:
    """Writes what is requested."""

    def __init__(self, database: Database, outbox: Outbox, author: Author) -> None:
        self._database = database
        self._outbox = outbox
        self._author = author

    async def requested(self, delivery: Delivery) -> None:
        """Writes one generation and stores it, or records that it was given up."""
        event: generation_pb2.GenerationRequested = delivery.message
        caller = _tenant(delivery)
        brief = await self._database.write(lambda connection: self._start(connection, delivery))
        if brief is None:
            return
        try:
            article = await self._author.write(brief)
        except Unanswered as failure:
            log.warning(
                "a generation failed",
                extra={"generation_id": event.generation_id, **log_fields(failure)},
            )
            await self._fail(delivery, failure.reason, failure.detail, failure.spent)
            return
        await self._database.write(
            lambda connection: self._store(connection, delivery, caller, brief, article)
        )

    async def give_up(self, delivery: Delivery, reason: str) -> None:
        """Ends a generation that no delivery could finish; its credits go back."""
        log.error("a generation is given up", extra={"reason": reason})
        await self._fail(
            delivery, INTERNAL, "The worker could not finish this generation.", Spent()
        )

    def _start(self, connection: Connection, delivery: Delivery) -> Brief | None:
        """Says that work begins; None when it has been done before."""
        event: generation_pb2.GenerationRequested = delivery.message
        if inbox.seen(connection, delivery.consumer, delivery.event_id):
            return None
        caller = _tenant(delivery)
        self._append(
            connection,
            generation_pb2.GenerationStarted(
                account_id=event.account_id,
                site_id=event.site_id,
                sector_id=event.sector_id,
                run_id=event.run_id,
                generation_id=event.generation_id,
                task_id=event.task_id,
                attempt=delivery.attempt,
            ),
            event.generation_id,
        )
        brief = brief_from_event(event.brief)
        return replace(
            brief,
            cluster_name=ClusterStore(connection, caller).name_of(brief.cluster_id),
            taxonomy_term_name=TaxonomyStore(connection, caller).name_of(brief.taxonomy_term_id),
        )

    def _store(
        self,
        connection: Connection,
        delivery: Delivery,
        caller: Caller,
        brief: Brief,
        article: Article,
    ) -> None:
        event: generation_pb2.GenerationRequested = delivery.message
        if not inbox.first_time(connection, delivery.consumer, delivery.event_id):
            return
        content_id = derived_id("content", event.generation_id)
        created = ContentStore(connection, caller).create_generated(
            content_id,
            brief,
            article,
            task_id=event.task_id,
            generation_id=event.generation_id,
        )
        if not created:
            return
        terms = TaxonomyStore(connection, caller)
        terms.link(
            content_id,
            [
                *([brief.taxonomy_term_id] if brief.taxonomy_term_id else []),
                *terms.ensure(article.categories, TaxonomyType.CATEGORY),
                *terms.ensure(article.tags, TaxonomyType.TAG),
            ],
        )
        self._append(
            connection,
            content_pb2.ContentCreated(
                account_id=event.account_id,
                site_id=event.site_id,
                sector_id=event.sector_id,
                content_id=content_id,
                task_id=event.task_id,
                generation_id=event.generation_id,
                status=ContentStatus.DRAFT,
                revision=1,
            ),
            content_id,
        )
        self._append(connection, _succeeded(event, content_id, article), event.generation_id)

    async def _fail(self, delivery: Delivery, reason: str, detail: str, spent: Spent) -> None:
        event: generation_pb2.GenerationRequested = delivery.message

        def work(connection: Connection) -> None:
            if not inbox.first_time(connection, delivery.consumer, delivery.event_id):
                return
            self._append(
                connection,
                generation_pb2.GenerationFailed(
                    account_id=event.account_id,
                    site_id=event.site_id,
                    sector_id=event.sector_id,
                    run_id=event.run_id,
                    generation_id=event.generation_id,
                    task_id=event.task_id,
                    reservation_key=event.reservation_key,
                    reason=reason,
                    detail=detail[:DETAIL_CHARS_MAX],
                    model=spent.model,
                    prompt_tokens=spent.prompt_tokens,
                    completion_tokens=spent.completion_tokens,
                    request_id=event.request_id,
                ),
                event.generation_id,
            )

        await self._database.write(work)

    def _append(self, connection: Connection, message: Message, about: str) -> None:
        self._outbox.append(connection, message, about=about)


def _tenant(delivery: Delivery) -> Caller:
    event = delivery.message
    return Caller.service(
        NAME,
        account_id=event.account_id,
        site_id=event.site_id,
        sector_id=event.sector_id,
        request_id=delivery.request_id or event.request_id,
    )


def _succeeded(
    event: generation_pb2.GenerationRequested, content_id: str, article: Article
) -> generation_pb2.GenerationSucceeded:
    return generation_pb2.GenerationSucceeded(
        account_id=event.account_id,
        site_id=event.site_id,
        sector_id=event.sector_id,
        run_id=event.run_id,
        generation_id=event.generation_id,
        task_id=event.task_id,
        content_id=content_id,
        reservation_key=event.reservation_key,
        stop_after=event.stop_after,
        word_count=article.word_count,
        model=article.model,
        prompt_tokens=article.prompt_tokens,
        completion_tokens=article.completion_tokens,
        request_id=event.request_id,
    )
