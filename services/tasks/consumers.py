"""The NATS edge of the tasks service."""

from __future__ import annotations

from writer.events.v1 import content_pb2, credits_pb2, generation_pb2

from chassis.consumers import Subscription
from services.tasks.service.progress import Progress


def subscriptions(progress: Progress) -> list[Subscription]:
    """What the service hears, and what it does then."""
    return [
        Subscription(generation_pb2.GenerationStarted, progress.started),
        Subscription(generation_pb2.GenerationSucceeded, progress.succeeded),
        Subscription(generation_pb2.GenerationFailed, progress.failed),
        Subscription(content_pb2.ContentIllustrated, progress.illustrated),
        Subscription(credits_pb2.CreditsCommitted, progress.charged),
    ]
