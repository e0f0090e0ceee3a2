"""Billing's NATS edge: what work came to settles what was held back for it.

An event without a reservation key is about work that nobody pays for, and is let pass.
"""

from __future__ import annotations

from typing import Any

from writer.events.v1 import generation_pb2, images_pb2

from chassis.caller import Caller
from chassis.consumers import Delivery, Subscription
from services.billing.domain import ID_CHARS, AiCall
from services.billing.service import Heard, Settlement


class Consumers:
    """Turns what others report into commits and voids."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement

    def subscriptions(self) -> list[Subscription]:
        """Every event that settles a reservation."""
        return [
            Subscription(generation_pb2.GenerationSucceeded, self.generation_succeeded),
            Subscription(generation_pb2.GenerationFailed, self.generation_failed),
            Subscription(generation_pb2.GenerationCancelled, self.generation_cancelled),
            Subscription(images_pb2.ImagePromptsReady, self.image_prompts_ready),
            Subscription(images_pb2.ImagePromptsFailed, self.image_prompts_failed),
            Subscription(images_pb2.ImageGenerated, self.image_generated),
            Subscription(images_pb2.ImageFailed, self.image_failed),
        ]

    async def generation_succeeded(self, delivery: Delivery) -> None:
        """Charges the words written."""
        message = delivery.message
        await self._succeeded(delivery, message.word_count, message.generation_id)

    async def generation_failed(self, delivery: Delivery) -> None:
        """Gives back; the model may have been asked in vain."""
        message = delivery.message
        await self._failed(delivery, _call(message, message.generation_id))

    async def generation_cancelled(self, delivery: Delivery) -> None:
        """Gives back; what a model had written by then is not charged."""
        await self._failed(
            delivery, AiCall(object_id=delivery.message.generation_id), reason="CANCELLED"
        )

    async def image_prompts_ready(self, delivery: Delivery) -> None:
        """Charges one request."""
        await self._succeeded(delivery, 1, delivery.message.image_set_id)

    async def image_prompts_failed(self, delivery: Delivery) -> None:
        """Gives back."""
        await self._failed(delivery, AiCall(object_id=delivery.message.image_set_id))

    async def image_generated(self, delivery: Delivery) -> None:
        """Charges one image."""
        await self._succeeded(delivery, 1, delivery.message.image_id)

    async def image_failed(self, delivery: Delivery) -> None:
        """Gives back."""
        await self._failed(delivery, AiCall(object_id=delivery.message.image_id))

    async def _succeeded(self, delivery: Delivery, used: int, object_id: str) -> None:
        message = delivery.message
        if message.reservation_key:
            await self._settlement.work_succeeded(
                _heard(delivery),
                _caller(delivery),
                message.reservation_key,
                used,
                _call(message, object_id),
            )

    async def _failed(self, delivery: Delivery, call: AiCall, reason: str = "") -> None:
        message = delivery.message
        if message.reservation_key:
            await self._settlement.work_failed(
                _heard(delivery),
                _caller(delivery),
                message.reservation_key,
                reason or message.reason,
                call,
            )


def _heard(delivery: Delivery) -> Heard:
    return Heard(delivery.consumer, delivery.event_id)


def _caller(delivery: Delivery) -> Caller:
    message = delivery.message
    return Caller(
        issuer="billing",
        principal="service:billing",
        account_id=message.account_id,
        site_id=message.site_id,
        sector_id=message.sector_id,
        request_id=(message.request_id or delivery.request_id)[:ID_CHARS],
        traceparent=delivery.traceparent,
    )


def _call(message: Any, object_id: str) -> AiCall:
    return AiCall(
        model=message.model,
        prompt_tokens=message.prompt_tokens,
        completion_tokens=message.completion_tokens,
        object_id=object_id,
    )
