"""Domain to contract and back; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from writer.tasks.v1 import runs_pb2, tasks_pb2
from writer.types.v1 import types_pb2

from chassis.times import to_timestamp
from services.tasks.domain import (
    WORD_COUNT_DEFAULT,
    Brief,
    Generation,
    GenerationState,
    Pictures,
    Run,
    Task,
)

# Looked up once: a page of a list has hundreds of them.
_TYPES = dict(types_pb2.ContentType.Value.items())
_STRUCTURES = dict(types_pb2.ContentStructure.Value.items())
_STATUSES = dict(tasks_pb2.Task.Status.items())


def brief_from_proto(task: tasks_pb2.Task) -> Brief:
    """What a caller may say about a task; everything else in the message is ignored."""
    return Brief(
        title=task.title.strip(),
        description=task.description,
        cluster_id=task.cluster_id,
        idea_id=task.idea_id,
        taxonomy_term_id=task.taxonomy_term_id,
        content_type=types_pb2.ContentType.Value.Name(task.content_type),
        content_structure=types_pb2.ContentStructure.Value.Name(task.content_structure),
        keywords=task.keywords,
        word_count=task.word_count if task.HasField("word_count") else WORD_COUNT_DEFAULT,
        prompt_override=task.prompt_override,
    )


def task_to_proto(task: Task) -> tasks_pb2.Task:
    """The task as callers see it."""
    return tasks_pb2.Task(**_task_fields(task))


def page_to_proto(
    found: Sequence[Task], next_token: str, total: int
) -> tasks_pb2.ListTasksResponse:
    """A page of tasks as callers see it."""
    listed: Any = [_task_fields(task) for task in found]
    return tasks_pb2.ListTasksResponse(tasks=listed, next_page_token=next_token, total_size=total)


def _task_fields(task: Task) -> dict[str, Any]:
    """What the message is made of.

    As fields all the way down: a message that becomes part of another is serialized and parsed.
    """
    fields = {
        "id": task.id,
        "etag": str(task.revision),
        "site_id": task.site_id,
        "sector_id": task.sector_id,
        "sector_name": task.sector_name,
        "title": task.title,
        "description": task.description,
        "cluster_id": task.cluster_id,
        "cluster_name": task.cluster_name,
        "idea_id": task.idea_id,
        "taxonomy_term_id": task.taxonomy_term_id,
        "content_type": _TYPES[task.content_type],
        "content_structure": _STRUCTURES[task.content_structure],
        "keywords": task.keywords,
        "word_count": task.word_count,
        "prompt_override": task.prompt_override,
        "status": _STATUSES[task.status],
        "content_id": task.content_id,
        "create_time": to_timestamp(task.create_time),
        "update_time": to_timestamp(task.update_time),
    }
    if task.generation_run_id:
        fields["generation"] = {
            "id": task.generation_id,
            "run_id": task.generation_run_id,
            "state": task.generation_state,
            "reason": task.generation_reason,
        }
    return fields


def bulk_update_to_proto(updated_count: int) -> tasks_pb2.BulkUpdateTasksResponse:
    """How many tasks have the wanted status now."""
    return tasks_pb2.BulkUpdateTasksResponse(updated_count=updated_count)


def run_to_proto(run: Run) -> runs_pb2.Run:
    """The run as callers see it, with the generations that it was read with."""
    counts = run.counts
    return runs_pb2.Run(
        id=run.id,
        etag=str(run.revision),
        state=runs_pb2.Run.State.Value(run.state),
        stop_after=types_pb2.Stage.Value.Value(run.stop_after),
        counts=runs_pb2.RunCounts(
            queued=counts.get(GenerationState.QUEUED, 0),
            running=counts.get(GenerationState.RUNNING, 0),
            succeeded=counts.get(GenerationState.SUCCEEDED, 0),
            failed=counts.get(GenerationState.FAILED, 0),
            cancelled=counts.get(GenerationState.CANCELLED, 0),
        ),
        credits_reserved=run.credits_reserved,
        credits_charged=run.credits_charged,
        generations=[_generation_to_proto(generation) for generation in run.generations],
        create_time=to_timestamp(run.create_time),
        update_time=to_timestamp(run.update_time),
        end_time=to_timestamp(run.end_time),
    )


def _generation_to_proto(generation: Generation) -> runs_pb2.Generation:
    return runs_pb2.Generation(
        id=generation.id,
        task_id=generation.task_id,
        task_title=generation.task_title,
        state=runs_pb2.Generation.State.Value(generation.state),
        attempt=generation.attempt,
        reason=generation.reason,
        detail=generation.detail,
        content_id=generation.content_id,
        reservation_id=generation.reservation_id,
        credits=generation.credits,
        word_count=generation.words_written,
        model=generation.model,
        prompt_tokens=generation.prompt_tokens,
        completion_tokens=generation.completion_tokens,
        images=_pictures_to_proto(generation.pictures),
        start_time=to_timestamp(generation.start_time),
        end_time=to_timestamp(generation.end_time),
    )


def _pictures_to_proto(pictures: Pictures | None) -> runs_pb2.ImageProgress | None:
    if pictures is None:
        return None
    return runs_pb2.ImageProgress(
        state=runs_pb2.PictureState.Value.Value(pictures.state),
        total=pictures.total,
        generated=pictures.generated,
        failed=pictures.failed,
        reason=pictures.reason,
    )
