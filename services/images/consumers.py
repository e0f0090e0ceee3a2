"""The NATS edge of the images service."""

from __future__ import annotations

from sqlalchemy import Connection
from writer.events.v1 import generation_pb2, images_pb2

from chassis import inbox
from chassis.consumers import Delivery, Subscription
from services.images.mapping import caller_from_event, order_from_event
from services.images.service.pictures import Pictures
from services.images.service.sets import FirstTime, Sets

PROMPTS_AT_ONCE = 4
"""Sets whose prompts one process asks for at the same time."""
PICTURES_AT_ONCE = 4
"""Pictures that one process waits for at the same time; each may hold 20 MB and its pixels."""


class Consumers:
    """Events to use cases."""

    def __init__(self, sets: Sets, pictures: Pictures) -> None:
        self._sets = sets
        self._pictures = pictures

    def subscriptions(self) -> list[Subscription]:
        """What the service hears, and what it does then."""
        return [
            Subscription(
                generation_pb2.GenerationSucceeded,
                self.prepare,
                concurrency=PROMPTS_AT_ONCE,
                give_up=self.give_up_preparing,
            ),
            Subscription(
                images_pb2.ImagePromptsReady, self.release, give_up=self.give_up_releasing
            ),
            Subscription(
                images_pb2.ImageRequested,
                self.draw,
                concurrency=PICTURES_AT_ONCE,
                give_up=self.give_up_drawing,
            ),
        ]

    async def prepare(self, delivery: Delivery) -> None:
        """A text is written: prompts are next, if the run wants them."""
        event = delivery.message
        await self._sets.prepare(
            caller_from_event(event), order_from_event(event), _first_time(delivery)
        )

    async def give_up_preparing(self, delivery: Delivery, _reason: str) -> None:
        """See Sets.give_up_preparing."""
        event = delivery.message
        await self._sets.give_up_preparing(caller_from_event(event), order_from_event(event))

    async def release(self, delivery: Delivery) -> None:
        """Prompts are stored: pictures are next, if the run wants them."""
        event = delivery.message
        await self._sets.release(
            caller_from_event(event), event.image_set_id, _first_time(delivery)
        )

    async def give_up_releasing(self, delivery: Delivery, _reason: str) -> None:
        """See Sets.give_up_releasing."""
        event = delivery.message
        await self._sets.give_up_releasing(caller_from_event(event), event.image_set_id)

    async def draw(self, delivery: Delivery) -> None:
        """A picture is ordered."""
        event = delivery.message
        await self._pictures.draw(
            caller_from_event(event),
            event.image_id,
            event.reservation_key,
            _first_time(delivery),
            is_repeated=delivery.attempt > 1,
        )

    async def give_up_drawing(self, delivery: Delivery, _reason: str) -> None:
        """See Pictures.give_up."""
        event = delivery.message
        await self._pictures.give_up(
            caller_from_event(event), event.image_id, event.reservation_key
        )


def _first_time(delivery: Delivery) -> FirstTime:
    def note(connection: Connection) -> bool:
        return inbox.first_time(connection, delivery.consumer, delivery.event_id)

    return note
