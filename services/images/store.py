"""Rows of image sets and images, bound to one caller's tenant.

Every change of a set names the state that it starts from, in the statement itself: of two
at the same time, one finds nothing to change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, false, insert, select, update

from chassis import clock
from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.ids import new_id
from chassis.pages import PageQuery, paginate
from chassis.statements import insert_if_absent
from chassis.tenancy import owned, visible
from services.images.domain import (
    Drawing,
    Image,
    ImageSet,
    ImageStatus,
    ImageType,
    Proposal,
    SetOrder,
    SetState,
    Stage,
    could_be_id,
)
from services.images.schema import image_sets, images

PNG = "image/png"
_SORTABLE = {
    "created_at": images.c.create_time,
    "position": images.c.position,
    "id": images.c.id,
}


class ImageStore:
    """Images and sets that one caller may see, over one connection."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def open_set(self, order: SetOrder) -> ImageSet:
        """The set of this order, made now unless it is there."""
        now = clock.now()
        insert_if_absent(
            self._connection,
            image_sets,
            **owned(self._caller),
            id=order.id,
            content_id=order.content_id,
            generation_id=order.generation_id,
            run_id=order.run_id,
            request_id=self._caller.request_id,
            stop_after=order.stop_after,
            stage=Stage.CONTENT,
            state=SetState.PROMPTING,
            total=0,
            generated=0,
            failed=0,
            has_featured=False,
            version=1,
            reason="",
            create_time=now,
            update_time=now,
        )
        return self.get_set(order.id)

    def get_set(self, set_id: str) -> ImageSet:
        """Raises NotFound."""
        row = self._connection.execute(
            select(image_sets).where(*visible(image_sets, self._caller), image_sets.c.id == set_id)
        ).one_or_none()
        if row is None:
            raise NotFound("image set", set_id)
        return set_from_row(row)

    def advance(self, set_id: str, before: SetState, after: SetState, **values: Any) -> bool:
        """Moves the set on; false, and nothing changed, unless it is in the state before."""
        return self._change_set(set_id, before, state=after, **values) is not None

    def complete(
        self, set_id: str, before: SetState, stage: Stage, reason: str = ""
    ) -> ImageSet | None:
        """Ends the set with what it has; None unless it is in the state before."""
        values: dict[str, Any] = {"stage": stage, "complete_time": clock.now()}
        if reason:
            values["reason"] = reason
        return self._change_set(set_id, before, state=SetState.COMPLETED, **values)

    def count_generated(self, set_id: str, image_type: ImageType) -> ImageSet | None:
        """One more picture is stored. Waits for others that count at the same time."""
        values: dict[str, Any] = {"generated": image_sets.c.generated + 1}
        if image_type is ImageType.FEATURED:
            values["has_featured"] = True
        return self._change_set(set_id, SetState.DRAWING, **values)

    def count_failed(self, set_id: str, reason: str) -> ImageSet | None:
        """One more picture is given up; the set keeps the first reason."""
        kept = image_sets.c.reason
        return self._change_set(
            set_id,
            SetState.DRAWING,
            failed=image_sets.c.failed + 1,
            reason=case((kept == "", reason), else_=kept),
        )

    def _change_set(self, set_id: str, before: SetState, **values: Any) -> ImageSet | None:
        row = self._connection.execute(
            update(image_sets)
            .where(
                *visible(image_sets, self._caller),
                image_sets.c.id == set_id,
                image_sets.c.state == before,
            )
            .values(version=image_sets.c.version + 1, update_time=clock.now(), **values)
            .returning(*image_sets.c)
        ).one_or_none()
        return None if row is None else set_from_row(row)

    def add_pending(self, order: SetOrder, proposal: Proposal) -> None:
        """Makes the rows of a set; a slot that is taken is an IntegrityError."""
        now = clock.now()
        self._connection.execute(
            insert(images),
            [
                {
                    **owned(self._caller),
                    "id": new_id(),
                    "content_id": order.content_id,
                    "task_id": order.task_id or None,
                    "image_set_id": order.id,
                    "image_type": prompt.image_type,
                    "position": prompt.position,
                    "prompt": prompt.prompt,
                    "prompt_version": proposal.prompt_version,
                    "alt_text": prompt.alt_text,
                    "caption": prompt.caption,
                    "status": ImageStatus.PENDING,
                    "attempt": 1,
                    "storage_key": "",
                    "width": 0,
                    "height": 0,
                    "bytes": 0,
                    "mime_type": "",
                    "sha256": "",
                    "reason": "",
                    "provider": "",
                    "model": "",
                    "revision": 1,
                    "create_time": now,
                    "update_time": now,
                }
                for prompt in proposal.prompts
            ],
        )

    def set_images(self, set_id: str, status: ImageStatus) -> Sequence[Image]:
        """The live pictures of a set in this state, in the order of their ids."""
        rows = self._connection.execute(
            select(images)
            .where(*self._live(), images.c.image_set_id == set_id, images.c.status == status)
            .order_by(images.c.id)
        )
        return [image_from_row(row) for row in rows]

    def get(self, image_id: str) -> Image:
        """Raises NotFound, also for a deleted image."""
        if not could_be_id(image_id):
            # Not named: an error that repeats a page of text does not fit on the wire.
            raise NotFound("image")
        row = self._connection.execute(
            select(images).where(*self._live(), images.c.id == image_id)
        ).one_or_none()
        if row is None:
            raise NotFound("image", image_id)
        return image_from_row(row)

    def list(
        self, query: PageQuery, filters: Mapping[str, str]
    ) -> tuple[Sequence[Image], str, int]:
        """One page of images, the token of the next, and how many there are."""
        page = paginate(
            self._connection,
            select(images).where(*self._live(), *_matching(filters)),
            query,
            sortable=_SORTABLE,
            default="-created_at",
            tie=images.c.id,
        )
        return [image_from_row(row) for row in page.rows], page.next_token, page.total_size

    def mark_generated(self, image: Image, drawing: Drawing, storage_key: str) -> bool:
        """Notes the file; false when this attempt is already settled."""
        return self._settle(
            image,
            status=ImageStatus.GENERATED,
            storage_key=storage_key,
            width=drawing.picture.width,
            height=drawing.picture.height,
            bytes=len(drawing.picture.png),
            mime_type=PNG,
            sha256=drawing.picture.sha256,
            provider=drawing.provider,
            model=drawing.model,
            reason="",
        )

    def mark_failed(self, image: Image, reason: str) -> bool:
        """Gives the picture up; false when this attempt is already settled."""
        return self._settle(image, status=ImageStatus.FAILED, reason=reason)

    def note_pending(self, set_id: str, reason: str) -> None:
        """Says on the pictures of a set that nobody draws why that is so."""
        self._connection.execute(
            update(images)
            .where(
                *self._live(),
                images.c.image_set_id == set_id,
                images.c.status == ImageStatus.PENDING,
            )
            .values(revision=images.c.revision + 1, update_time=clock.now(), reason=reason)
        )

    def _settle(self, image: Image, **values: Any) -> bool:
        # A deleted row is settled as well: its set must come to an end all the same.
        result = self._connection.execute(
            update(images)
            .where(
                *visible(images, self._caller),
                images.c.id == image.id,
                images.c.status == ImageStatus.PENDING,
                images.c.attempt == image.attempt,
            )
            .values(revision=images.c.revision + 1, update_time=clock.now(), **values)
        )
        return result.rowcount == 1

    def _live(self) -> Sequence[Any]:
        return [*visible(images, self._caller), images.c.delete_time.is_(None)]


def _matching(filters: Mapping[str, str]) -> Sequence[ColumnElement[bool]]:
    given = {name: value for name, value in filters.items() if value}
    # PostgreSQL refuses to compare with text that no column can hold.
    if not all(could_be_id(value) for value in given.values()):
        return [false()]
    return [images.c[name] == value for name, value in given.items()]


def served_image(connection: Connection, image_id: str) -> Image | None:
    """The live image of any tenant whose file may be shown; the one look-up by id alone."""
    if not could_be_id(image_id):
        return None
    row = connection.execute(
        select(images).where(
            images.c.id == image_id,
            images.c.status == ImageStatus.GENERATED,
            images.c.delete_time.is_(None),
        )
    ).one_or_none()
    return None if row is None else image_from_row(row)


def set_from_row(row: Row[Any]) -> ImageSet:
    """A set from its row."""
    values = {name: getattr(row, name) for name in ImageSet.__dataclass_fields__}
    values["stop_after"] = Stage(row.stop_after)
    values["stage"] = Stage(row.stage)
    values["state"] = SetState(row.state)
    return ImageSet(**values)


def image_from_row(row: Row[Any]) -> Image:
    """An image from its row."""
    values = {name: getattr(row, name) for name in Image.__dataclass_fields__}
    values["content_id"] = row.content_id or ""
    values["task_id"] = row.task_id or ""
    values["image_type"] = ImageType(row.image_type)
    values["status"] = ImageStatus(row.status)
    return Image(**values)
