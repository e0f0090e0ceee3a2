"""Looking at images and their files."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import NotFound
from chassis.pages import PageQuery
from services.images.domain import Image, could_be_id
from services.images.files import FileGoneError, Files
from services.images.store import ImageStore, served_image

log = logging.getLogger(__name__)


class Library:
    """Images of a caller's tenant, and files by their id."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    async def get(self, caller: Caller, image_id: str) -> Image:
        """Raises NotFound."""
        return await self._database.read(lambda c: ImageStore(c, caller).get(image_id))

    async def list(
        self, caller: Caller, query: PageQuery, filters: Mapping[str, str]
    ) -> tuple[Sequence[Image], str, int]:
        """One page, the token of the next, and how many there are."""
        return await self._database.read(lambda c: ImageStore(c, caller).list(query, filters))

    async def open_file(self, image_id: str) -> tuple[Image, AsyncIterator[bytes]]:
        """The file of a generated image, whoever asks. Raises NotFound."""
        image = await self._database.read(lambda c: served_image(c, image_id))
        if image is None:
            raise _no_image(image_id)
        try:
            return image, await self._files.read(image.storage_key)
        except FileGoneError as error:
            log.error("the file of an image is gone", extra={"image_id": image.id})  # noqa: TRY400
            raise _no_image(image_id) from error


def _no_image(image_id: str) -> NotFound:
    """Named as in every other answer, unless it is no id: that may be a page of anything."""
    return NotFound("image", *([image_id] if could_be_id(image_id) else []))
