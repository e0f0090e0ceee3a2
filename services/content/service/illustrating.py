"""Takes note of what becomes of a content's pictures, and says so when nothing more will.

Reports come in any order; each carries the version of the set that it speaks of, and an
older one is dropped.
"""

from __future__ import annotations

from sqlalchemy import Connection
from writer.events.v1 import content_pb2, images_pb2
from writer.types.v1 import types_pb2

from chassis import inbox
from chassis.caller import Caller
from chassis.consumers import Delivery
from chassis.database import Database
from chassis.errors import NotFound
from chassis.outbox import Outbox
from services.content.domain import ContentStatus, ImageFlags, status_after_images
from services.content.store.contents import ContentStore

NAME = "content"
FEATURED = "featured"


class Illustrating:
    """Keeps a content's image flags and moves it to review when its pictures are made."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def prompts_ready(self, delivery: Delivery) -> None:
        """Pictures are planned."""
        event: images_pb2.ImagePromptsReady = delivery.message

        def work(connection: Connection) -> None:
            if inbox.first_time(connection, delivery.consumer, delivery.event_id):
                ContentStore(connection, _tenant(delivery)).note_images(
                    event.content_id, ImageFlags(pending=event.total), event.version
                )

        await self._database.write(work)

    async def picture_settled(self, delivery: Delivery) -> None:
        """One picture is stored or given up."""
        event: images_pb2.ImageGenerated | images_pb2.ImageFailed = delivery.message

        def work(connection: Connection) -> None:
            if not inbox.first_time(connection, delivery.consumer, delivery.event_id):
                return
            store = ContentStore(connection, _tenant(delivery))
            try:
                before = store.get(event.content_id)
            except NotFound:
                return
            made = isinstance(event, images_pb2.ImageGenerated) and event.image_type == FEATURED
            flags = ImageFlags(
                has_featured=before.images.has_featured or made,
                pending=event.total - event.generated - event.failed,
                generated=event.generated,
                failed=event.failed,
            )
            if not store.note_images(event.content_id, flags, event.version) and made:
                store.note_featured(event.content_id)

        await self._database.write(work)

    async def set_completed(self, delivery: Delivery) -> None:
        """Nothing more will happen to the pictures; the last word on a run's picture stages."""
        event: images_pb2.ImageSetCompleted = delivery.message

        def work(connection: Connection) -> None:
            if not inbox.first_time(connection, delivery.consumer, delivery.event_id):
                return
            status = self._settle(connection, _tenant(delivery), event)
            self._outbox.append(connection, _illustrated(event, status), about=event.content_id)

        await self._database.write(work)

    def _settle(
        self, connection: Connection, caller: Caller, event: images_pb2.ImageSetCompleted
    ) -> str:
        """Stores the final counts; the content's status now, empty when it is gone."""
        store = ContentStore(connection, caller)
        flags = ImageFlags(
            has_featured=event.has_featured,
            pending=event.total - event.generated - event.failed,
            generated=event.generated,
            failed=event.failed,
        )
        store.note_images(event.content_id, flags, event.version)
        try:
            content = store.get(event.content_id)
        except NotFound:
            return ""
        before = ContentStatus(content.status)
        complete = event.stage == types_pb2.Stage.images and not event.reason
        after = status_after_images(before, flags, complete=complete)
        if after is before:
            return before
        if store.change_status(content.id, before, after):
            self._outbox.append(
                connection,
                content_pb2.ContentStatusChanged(
                    account_id=event.account_id,
                    site_id=event.site_id,
                    sector_id=event.sector_id,
                    content_id=content.id,
                    from_status=before,
                    to_status=after,
                    revision=content.revision + 1,
                ),
                about=content.id,
            )
        return after


def _tenant(delivery: Delivery) -> Caller:
    event = delivery.message
    return Caller.service(
        NAME,
        account_id=event.account_id,
        site_id=event.site_id,
        request_id=delivery.request_id,
    )


def _illustrated(
    event: images_pb2.ImageSetCompleted, status: ContentStatus | str
) -> content_pb2.ContentIllustrated:
    return content_pb2.ContentIllustrated(
        account_id=event.account_id,
        site_id=event.site_id,
        sector_id=event.sector_id,
        content_id=event.content_id,
        run_id=event.run_id,
        generation_id=event.generation_id,
        image_set_id=event.image_set_id,
        stage=event.stage,
        total=event.total,
        generated=event.generated,
        failed=event.failed,
        reason=event.reason,
        status=status,
    )
