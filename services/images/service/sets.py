"""From a finished text to ordered pictures: prompts first, then credits for what they ask for.

At every step the process may die. The set's state says which step is next, a repeated
delivery does that step and no other, and every reservation has a key that it finds again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import Connection

from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import Kind, Refusal
from chassis.model_errors import log_fields
from chassis.outbox import Outbox
from chassis.retry import GivenUp
from services.images import facts
from services.images.domain import (
    INTERNAL,
    NOT_FOUND,
    ImageStatus,
    Proposal,
    SetOrder,
    SetState,
    Stage,
    prompts_reservation_key,
)
from services.images.errors import INSUFFICIENT_CREDITS, ReservationLost
from services.images.peers import PICTURE, PROMPTS, Billing, Contents
from services.images.providers.illustrator import Illustrator
from services.images.store import ImageStore

log = logging.getLogger(__name__)

FirstTime = Callable[[Connection], bool]
"""Notes a delivery in the transaction of its effect; false if that was done before."""


class Sets:
    """The stages of a set before its pictures are drawn."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        billing: Billing,
        contents: Contents,
        illustrator: Illustrator,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._billing = billing
        self._contents = contents
        self._illustrator = illustrator

    async def prepare(self, caller: Caller, order: SetOrder, first_time: FirstTime) -> None:
        """Reserves, asks for the prompts and stores one pending image for each.

        Too few credits end the set where it stands; a model that will not answer fails it.
        """
        if not order.wants_prompts:
            return
        image_set = await self._database.write(lambda c: ImageStore(c, caller).open_set(order))
        if image_set.state is not SetState.PROMPTING:
            return
        key = prompts_reservation_key(order.id)
        try:
            await self._billing.reserve(caller, order.run_id, PROMPTS, [key])
        except Refusal as refusal:
            reason = _ending(refusal)
            await self._complete(
                caller, order.id, SetState.PROMPTING, Stage.CONTENT, reason, first_time
            )
            return
        try:
            article = await self._contents.article(caller, order.content_id)
            proposal = await self._illustrator.propose(article)
        except GivenUp as given_up:
            log.warning(
                "a set has no prompts",
                extra={"image_set_id": order.id, **log_fields(given_up)},
            )
            await self._fail_prompts(caller, order.id, given_up.reason, first_time)
        except Refusal as refusal:
            if refusal.kind is not Kind.NOT_FOUND:
                raise
            await self._fail_prompts(caller, order.id, NOT_FOUND, first_time)
        else:
            await self._store_prompts(caller, order, proposal, first_time)

    async def give_up_preparing(self, caller: Caller, order: SetOrder) -> None:
        """Ends a set whose prompts could not be prepared, however often it was tried."""
        if not order.wants_prompts:
            return
        await self._database.write(lambda c: ImageStore(c, caller).open_set(order))
        await self._fail_prompts(caller, order.id, INTERNAL, lambda _: True)

    async def release(self, caller: Caller, set_id: str, first_time: FirstTime) -> None:
        """Reserves for all pictures of a set, all or none, and orders each of them."""
        image_set = await self._database.read(lambda c: ImageStore(c, caller).get_set(set_id))
        if image_set.state is not SetState.PROMPTED:
            return
        ready, reached = SetState.PROMPTED, Stage.IMAGE_PROMPTS
        if image_set.stop_after is not Stage.IMAGES:
            await self._complete(caller, set_id, ready, reached, "", first_time)
            return
        pending = await self._database.read(
            lambda c: ImageStore(c, caller).set_images(set_id, ImageStatus.PENDING)
        )
        keys = [image.reservation_key for image in pending]
        try:
            await self._billing.reserve(caller, image_set.run_id, PICTURE, keys)
        except Refusal as refusal:
            await self._complete(caller, set_id, ready, reached, _ending(refusal), first_time)
            return

        def order_all(connection: Connection) -> None:
            store = ImageStore(connection, caller)
            if not first_time(connection) or not store.advance(set_id, ready, SetState.DRAWING):
                return
            for image in pending:
                event = facts.image_requested(image_set, image)
                self._outbox.append(connection, event, about=image.id)

        await self._database.write(order_all)

    async def give_up_releasing(self, caller: Caller, set_id: str) -> None:
        """Fails all pictures of a set that could not be ordered; what was reserved goes back."""

        def work(connection: Connection) -> None:
            store = ImageStore(connection, caller)
            if not store.advance(set_id, SetState.PROMPTED, SetState.DRAWING):
                return
            for image in store.set_images(set_id, ImageStatus.PENDING):
                store.mark_failed(image, INTERNAL)
                counted = store.count_failed(set_id, INTERNAL)
                assert counted is not None, "the set is locked in this state"
                event = facts.image_failed(counted, image, INTERNAL)
                self._outbox.append(connection, event, about=image.id)
            completed = store.complete(set_id, SetState.DRAWING, Stage.IMAGE_PROMPTS)
            assert completed is not None, "the set is locked in this state"
            self._outbox.append(connection, facts.set_completed(completed), about=set_id)

        await self._database.write(work)

    async def _store_prompts(
        self, caller: Caller, order: SetOrder, proposal: Proposal, first_time: FirstTime
    ) -> None:
        def work(connection: Connection) -> None:
            store = ImageStore(connection, caller)
            if not first_time(connection):
                return
            if not store.advance(
                order.id,
                SetState.PROMPTING,
                SetState.PROMPTED,
                stage=Stage.IMAGE_PROMPTS,
                total=len(proposal.prompts),
            ):
                return
            store.add_pending(order, proposal)
            event = facts.prompts_ready(store.get_set(order.id), proposal)
            self._outbox.append(connection, event, about=order.id)

        await self._database.write(work)

    async def _fail_prompts(
        self, caller: Caller, set_id: str, reason: str, first_time: FirstTime
    ) -> None:
        """Ends a set without prompts, and tells billing to give their credits back."""

        def work(connection: Connection) -> None:
            if not first_time(connection):
                return
            completed = ImageStore(connection, caller).complete(
                set_id, SetState.PROMPTING, Stage.CONTENT, reason
            )
            if completed is None:
                return
            failed = facts.prompts_failed(completed, reason)
            self._outbox.append(connection, failed, about=set_id)
            self._outbox.append(connection, facts.set_completed(completed), about=set_id)

        await self._database.write(work)

    async def _complete(
        self,
        caller: Caller,
        set_id: str,
        before: SetState,
        stage: Stage,
        reason: str,
        first_time: FirstTime,
    ) -> None:
        def work(connection: Connection) -> None:
            if not first_time(connection):
                return
            store = ImageStore(connection, caller)
            completed = store.complete(set_id, before, stage, reason)
            if completed is None:
                return
            if reason:
                store.note_pending(set_id, reason)
            self._outbox.append(connection, facts.set_completed(completed), about=set_id)

        await self._database.write(work)


def _ending(refusal: Refusal) -> str:
    """The reason to end a set with; any other refusal is raised, because it may pass."""
    if refusal.reason == INSUFFICIENT_CREDITS or isinstance(refusal, ReservationLost):
        return refusal.reason
    raise refusal
