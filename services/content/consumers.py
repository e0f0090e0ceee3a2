"""The NATS edge of the content service."""

from __future__ import annotations

from writer.events.v1 import generation_pb2, images_pb2

from chassis.consumers import Subscription
from services.content.service.illustrating import Illustrating
from services.content.service.writing import Writing

WRITERS = 8
"""Texts that one process has written at the same time; the model does the work."""


def subscriptions(
    writing: Writing, illustrating: Illustrating, writers: int = WRITERS
) -> list[Subscription]:
    """What the service hears, and what it does then."""
    return [
        Subscription(
            generation_pb2.GenerationRequested,
            writing.requested,
            concurrency=writers,
            give_up=writing.give_up,
        ),
        Subscription(images_pb2.ImagePromptsReady, illustrating.prompts_ready),
        Subscription(images_pb2.ImageGenerated, illustrating.picture_settled),
        Subscription(images_pb2.ImageFailed, illustrating.picture_settled),
        Subscription(images_pb2.ImageSetCompleted, illustrating.set_completed),
    ]
