"""Draws one ordered picture, keeps its file and counts it in its set.

After a crash the model is asked again: it may draw twice, but one drawing counts. The file
is stored before the row that names it, so that a row never promises what is not there.
"""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import NotFound
from chassis.model_errors import log_fields
from chassis.outbox import Outbox
from chassis.retry import GivenUp
from services.images import facts
from services.images.domain import (
    INTERNAL,
    Drawing,
    Image,
    ImageSet,
    ImageStatus,
    SetState,
    Stage,
)
from services.images.files import Files, key_of
from services.images.providers.illustrator import Illustrator
from services.images.service.sets import FirstTime
from services.images.store import ImageStore

log = logging.getLogger(__name__)


class Pictures:
    """Ordered pictures."""

    def __init__(
        self, database: Database, outbox: Outbox, illustrator: Illustrator, files: Files
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._illustrator = illustrator
        self._files = files

    async def draw(
        self,
        caller: Caller,
        image_id: str,
        reservation_key: str,
        first_time: FirstTime,
        *,
        is_repeated: bool,
    ) -> None:
        """Draws the picture of this order, or fails it with the provider's reason.

        An order whose attempt is settled or was replaced changes nothing.
        """
        image = await self._ordered(caller, image_id, reservation_key)
        if image is None:
            return
        try:
            drawing = await self._illustrator.draw(image.prompt, image.image_type)
        except GivenUp as given_up:
            log.warning(
                "a picture failed",
                extra={"image_id": image.id, **log_fields(given_up)},
            )
            await self._fail(caller, image, given_up.reason, first_time)
            return
        key = key_of(image.account_id, image.id, drawing.picture.sha256)
        await self._files.put(key, drawing.picture.png)
        if not await self._keep(caller, image, drawing, key, first_time):
            await self._discard(caller, image, key)
        elif is_repeated:
            # An earlier delivery may have died between its file and its row.
            await self._files.keep_only(key)

    async def give_up(self, caller: Caller, image_id: str, reservation_key: str) -> None:
        """Fails a picture that could not be drawn, however often it was tried."""
        image = await self._ordered(caller, image_id, reservation_key)
        if image is not None:
            await self._fail(caller, image, INTERNAL, lambda _: True)

    async def _ordered(self, caller: Caller, image_id: str, reservation_key: str) -> Image | None:
        try:
            image = await self._database.read(lambda c: ImageStore(c, caller).get(image_id))
        except NotFound:
            return None
        is_due = image.status is ImageStatus.PENDING and image.reservation_key == reservation_key
        return image if is_due else None

    async def _keep(
        self, caller: Caller, image: Image, drawing: Drawing, key: str, first_time: FirstTime
    ) -> bool:
        def work(connection: Connection) -> bool:
            store = ImageStore(connection, caller)
            if not first_time(connection) or not store.mark_generated(image, drawing, key):
                return False
            counted = store.count_generated(image.image_set_id, image.image_type)
            assert counted is not None, "a set is drawing as long as a picture is ordered"
            event = facts.image_generated(counted, image, drawing)
            self._outbox.append(connection, event, about=image.id)
            self._complete_if_last(connection, store, counted)
            return True

        return await self._database.write(work)

    async def _fail(self, caller: Caller, image: Image, reason: str, first_time: FirstTime) -> None:
        def work(connection: Connection) -> None:
            store = ImageStore(connection, caller)
            if not first_time(connection) or not store.mark_failed(image, reason):
                return
            counted = store.count_failed(image.image_set_id, reason)
            assert counted is not None, "a set is drawing as long as a picture is ordered"
            event = facts.image_failed(counted, image, reason)
            self._outbox.append(connection, event, about=image.id)
            self._complete_if_last(connection, store, counted)

        await self._database.write(work)

    def _complete_if_last(
        self, connection: Connection, store: ImageStore, counted: ImageSet
    ) -> None:
        """The counters were read under the row's lock, so that exactly one picture is the last."""
        if not counted.is_done:
            return
        completed = store.complete(counted.id, SetState.DRAWING, Stage.IMAGES)
        assert completed is not None, "the set is locked in this state"
        self._outbox.append(connection, facts.set_completed(completed), about=completed.id)

    async def _discard(self, caller: Caller, image: Image, key: str) -> None:
        """Removes our file, unless it is the one that counts."""
        try:
            kept = await self._database.read(lambda c: ImageStore(c, caller).get(image.id))
        except NotFound:
            kept = image
        if kept.storage_key != key:
            await self._files.delete(key)
