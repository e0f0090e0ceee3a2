"""What the service tells others: sets and images as events; pure."""

from __future__ import annotations

from writer.events.v1 import images_pb2
from writer.types.v1 import types_pb2

from services.images.domain import (
    Drawing,
    Image,
    ImageSet,
    Proposal,
    Stage,
    prompts_reservation_key,
)


def prompts_ready(image_set: ImageSet, proposal: Proposal) -> images_pb2.ImagePromptsReady:
    """The rows are there."""
    return images_pb2.ImagePromptsReady(
        **_common(image_set),
        reservation_key=prompts_reservation_key(image_set.id),
        stop_after=_stage(image_set.stop_after),
        total=image_set.total,
        version=image_set.version,
        model=proposal.model,
        prompt_tokens=proposal.prompt_tokens,
        completion_tokens=proposal.completion_tokens,
    )


def prompts_failed(image_set: ImageSet, reason: str) -> images_pb2.ImagePromptsFailed:
    """There will be no rows."""
    return images_pb2.ImagePromptsFailed(
        **_common(image_set),
        reservation_key=prompts_reservation_key(image_set.id),
        reason=reason,
    )


def image_requested(image_set: ImageSet, image: Image) -> images_pb2.ImageRequested:
    """A picture shall be made."""
    return images_pb2.ImageRequested(
        **_common(image_set), image_id=image.id, reservation_key=image.reservation_key
    )


def image_generated(
    image_set: ImageSet, image: Image, drawing: Drawing
) -> images_pb2.ImageGenerated:
    """A picture is stored; `image_set` is as it stood afterwards."""
    return images_pb2.ImageGenerated(
        **_common(image_set),
        image_id=image.id,
        reservation_key=image.reservation_key,
        image_type=image.image_type,
        version=image_set.version,
        total=image_set.total,
        generated=image_set.generated,
        failed=image_set.failed,
        model=drawing.model,
        prompt_tokens=drawing.prompt_tokens,
        completion_tokens=drawing.completion_tokens,
    )


def image_failed(image_set: ImageSet, image: Image, reason: str) -> images_pb2.ImageFailed:
    """A picture is given up; `image_set` is as it stood afterwards."""
    return images_pb2.ImageFailed(
        **_common(image_set),
        image_id=image.id,
        reservation_key=image.reservation_key,
        reason=reason,
        version=image_set.version,
        total=image_set.total,
        generated=image_set.generated,
        failed=image_set.failed,
    )


def set_completed(image_set: ImageSet) -> images_pb2.ImageSetCompleted:
    """Nothing more will happen by itself."""
    return images_pb2.ImageSetCompleted(
        **_common(image_set),
        stage=_stage(image_set.stage),
        version=image_set.version,
        total=image_set.total,
        generated=image_set.generated,
        failed=image_set.failed,
        has_featured=image_set.has_featured,
        reason=image_set.reason,
    )


def _common(image_set: ImageSet) -> dict[str, str]:
    return {
        "account_id": image_set.account_id,
        "site_id": image_set.site_id,
        "sector_id": image_set.sector_id,
        "image_set_id": image_set.id,
        "content_id": image_set.content_id,
        "run_id": image_set.run_id,
        "generation_id": image_set.generation_id,
        "request_id": image_set.request_id,
    }


def _stage(stage: Stage) -> types_pb2.Stage.Value.ValueType:
    return types_pb2.Stage.Value.Value(stage)
