"""What became of generations: the events of content, images and billing."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection
from writer.events.v1 import content_pb2, credits_pb2, generation_pb2

from chassis import clock, inbox
from chassis.caller import Caller
from chassis.consumers import Delivery
from chassis.database import Database
from chassis.errors import NotFound
from chassis.outbox import Outbox
from services.tasks.domain import GenerationState, PictureState, Run, Stage
from services.tasks.peers import NAME
from services.tasks.store.runs import RunStore
from services.tasks.store.tasks import TaskStore

INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
_Change = Callable[[RunStore, TaskStore, Run], None]


class Progress:
    """Keeps generations, tasks and runs in line with what was done elsewhere.

    Events come at least once and in no promised order: a terminal state wins, a repetition
    changes nothing, and an event about a run that is not here is ignored.
    """

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def started(self, delivery: Delivery) -> None:
        """A worker asks the model."""
        event: generation_pb2.GenerationStarted = delivery.message

        def change(runs: RunStore, _tasks: TaskStore, _run: Run) -> None:
            runs.change_generation(
                event.generation_id,
                only_active=True,
                state=GenerationState.RUNNING,
                attempt=event.attempt,
                start_time=clock.now(),
            )

        await self._apply(delivery, change)

    async def succeeded(self, delivery: Delivery) -> None:
        """The content is stored: the task is completed."""
        event: generation_pb2.GenerationSucceeded = delivery.message

        def change(runs: RunStore, tasks: TaskStore, _run: Run) -> None:
            changed = runs.change_generation(
                event.generation_id,
                only_active=True,
                state=GenerationState.SUCCEEDED,
                content_id=event.content_id,
                words_written=event.word_count,
                model=event.model,
                prompt_tokens=event.prompt_tokens,
                completion_tokens=event.completion_tokens,
                end_time=clock.now(),
            )
            if changed:
                tasks.complete(event.task_id, event.content_id)

        await self._apply(delivery, change)

    async def failed(self, delivery: Delivery) -> None:
        """Given up; the task stays queued, so that it can be written again."""
        event: generation_pb2.GenerationFailed = delivery.message

        def change(runs: RunStore, _tasks: TaskStore, run: Run) -> None:
            # Without a text there will be no pictures: they must not look as if they came.
            pictures = (
                {"pictures_state": PictureState.FAILED, "pictures_reason": event.reason}
                if run.stop_after is not Stage.CONTENT
                else {}
            )
            runs.change_generation(
                event.generation_id,
                only_active=True,
                **pictures,
                state=GenerationState.FAILED,
                reason=event.reason,
                detail=event.detail,
                model=event.model,
                prompt_tokens=event.prompt_tokens,
                completion_tokens=event.completion_tokens,
                end_time=clock.now(),
            )

        await self._apply(delivery, change)

    async def illustrated(self, delivery: Delivery) -> None:
        """The picture stages of one generation are over."""
        event: content_pb2.ContentIllustrated = delivery.message

        def change(runs: RunStore, _tasks: TaskStore, _run: Run) -> None:
            runs.change_generation(
                event.generation_id,
                only_active=False,
                pictures_state=_pictures_state(event),
                pictures_total=event.total,
                pictures_generated=event.generated,
                pictures_failed=event.failed,
                pictures_reason=event.reason,
            )

        await self._apply(delivery, change)

    async def charged(self, delivery: Delivery) -> None:
        """Billing has charged work of a run."""
        event: credits_pb2.CreditsCommitted = delivery.message

        def change(runs: RunStore, _tasks: TaskStore, run: Run) -> None:
            runs.charge(run.id, event.reservation_key, event.credits)

        await self._apply(delivery, change)

    async def _apply(self, delivery: Delivery, change: _Change) -> None:
        """Changes one run under its lock, once for each event, and tells when it has ended."""
        event = delivery.message
        if not event.run_id:
            return
        caller = Caller.service(
            NAME,
            account_id=event.account_id,
            request_id=delivery.request_id,
        )

        def work(connection: Connection) -> None:
            if not inbox.first_time(connection, delivery.consumer, delivery.event_id):
                return
            runs = RunStore(connection, caller)
            try:
                run = runs.get(event.run_id, lock=True)
            except NotFound:
                return
            change(runs, TaskStore(connection, caller), run)
            run, ended = runs.refresh(run)
            if ended:
                self._outbox.append(
                    connection,
                    generation_pb2.RunEnded(
                        account_id=event.account_id,
                        site_id=run.site_id,
                        sector_id=run.sector_id,
                        run_id=run.id,
                        state=run.state,
                    ),
                    about=run.id,
                )

        await self._database.write(work)


def _pictures_state(event: content_pb2.ContentIllustrated) -> PictureState:
    if event.reason == INSUFFICIENT_CREDITS:
        return PictureState.BUDGET_REACHED
    return PictureState.FAILED if event.reason or event.failed else PictureState.SUCCEEDED
