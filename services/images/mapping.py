"""Domain to contract and back; pure."""

from __future__ import annotations

from typing import Protocol

from writer.events.v1 import generation_pb2
from writer.images.v1 import images_pb2
from writer.types.v1 import types_pb2

from chassis.caller import Caller
from chassis.ids import derived_id
from chassis.times import to_timestamp
from services.images.domain import NAME, Image, ImageStatus, SetOrder, Stage


class TenantEvent(Protocol):
    """Every event names its tenant and the request that it came from."""

    account_id: str
    site_id: str
    sector_id: str
    request_id: str


def caller_from_event(event: TenantEvent) -> Caller:
    """This service, for the tenant of the event."""
    return Caller.service(
        NAME,
        account_id=event.account_id,
        site_id=event.site_id,
        sector_id=event.sector_id,
        request_id=event.request_id,
    )


def order_from_event(event: generation_pb2.GenerationSucceeded) -> SetOrder:
    """What the finished text asks for; the set's id is the same however often it is asked."""
    stage = event.stop_after or types_pb2.Stage.content
    return SetOrder(
        id=derived_id("image_set", event.generation_id),
        content_id=event.content_id,
        task_id=event.task_id,
        generation_id=event.generation_id,
        run_id=event.run_id,
        stop_after=Stage(types_pb2.Stage.Value.Name(stage)),
    )


def image_to_proto(image: Image) -> images_pb2.Image:
    """The image as callers see it."""
    message = images_pb2.Image(
        id=image.id,
        etag=str(image.revision),
        site_id=image.site_id,
        sector_id=image.sector_id,
        content_id=image.content_id,
        task_id=image.task_id,
        image_type=images_pb2.Image.Type.Value(image.image_type),
        position=image.position,
        prompt=image.prompt,
        alt_text=image.alt_text,
        caption=image.caption,
        status=images_pb2.Image.Status.Value(image.status),
        width=image.width,
        height=image.height,
        bytes=image.bytes,
        mime_type=image.mime_type,
        sha256=image.sha256,
        reason=image.reason,
        provider=image.provider,
        model=image.model,
        create_time=to_timestamp(image.create_time),
        update_time=to_timestamp(image.update_time),
    )
    if image.status is ImageStatus.GENERATED:
        message.image_url = f"/api/v1/writer/images/{image.id}/file"
    return message
