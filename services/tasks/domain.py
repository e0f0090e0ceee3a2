"""Tasks, runs and generations, and the rules of their states. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

WORD_COUNT_DEFAULT = 1000


class TaskStatus(StrEnum):
    """Whether a task has been written."""

    QUEUED = "queued"
    COMPLETED = "completed"


class Stage(StrEnum):
    """The stages of the pipeline, in their order."""

    CONTENT = "content"
    IMAGE_PROMPTS = "image_prompts"
    IMAGES = "images"


class GenerationState(StrEnum):
    """How far the text of one task has got."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (GenerationState.QUEUED, GenerationState.RUNNING)
"""A task has at most one generation in these states."""


class PictureState(StrEnum):
    """How far the picture stages of one generation have got."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    BUDGET_REACHED = "budget_reached"


class RunState(StrEnum):
    """How far a run has got."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    PARTLY_FAILED = "partly_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BUDGET_REACHED = "budget_reached"


ENDED = frozenset(
    {
        RunState.SUCCEEDED,
        RunState.PARTLY_FAILED,
        RunState.FAILED,
        RunState.CANCELLED,
        RunState.BUDGET_REACHED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What shall be written; what a caller may say about a task."""

    title: str
    description: str = ""
    cluster_id: str
    idea_id: str = ""
    taxonomy_term_id: str = ""
    content_type: str
    content_structure: str
    keywords: str = ""
    word_count: int = WORD_COUNT_DEFAULT
    prompt_override: str = ""


class Task(NamedTuple):
    """One brief, whether it has been written, and what its last generation came to.

    Flat and light, as it is read from its row: a page of a list has hundreds.
    """

    id: str
    revision: int
    site_id: str
    sector_id: str
    sector_name: str
    title: str
    description: str
    cluster_id: str
    cluster_name: str
    idea_id: str
    taxonomy_term_id: str
    content_type: str
    content_structure: str
    keywords: str
    word_count: int
    prompt_override: str
    status: str
    """One of TaskStatus."""
    content_id: str
    create_time: datetime
    update_time: datetime
    generation_id: str
    """Of the last generation; empty before the first, as all about it."""
    generation_run_id: str
    generation_state: str
    generation_reason: str

    @property
    def brief(self) -> Brief:
        """What a caller has said about the task."""
        return Brief(**{name: getattr(self, name) for name in _BRIEF})


_BRIEF = tuple(field.name for field in fields(Brief))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The pictures of one generation."""

    state: PictureState
    total: int = 0
    generated: int = 0
    failed: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The writing of one task inside a run."""

    id: str
    task_id: str
    task_title: str
    state: GenerationState
    attempt: int = 0
    reason: str = ""
    detail: str = ""
    content_id: str = ""
    reservation_id: str = ""
    credits: int = 0
    words_written: int = 0
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    pictures: Pictures | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None

    @property
    def is_done(self) -> bool:
        """Nothing more will happen to it by itself."""
        if self.state in ACTIVE:
            return False
        if self.state is not GenerationState.SUCCEEDED or self.pictures is None:
            return True
        return self.pictures.state is not PictureState.PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One request to write."""

    id: str
    revision: int
    site_id: str
    sector_id: str
    state: RunState
    stop_after: Stage
    credits_reserved: int
    credits_charged: int
    create_time: datetime
    update_time: datetime
    end_time: datetime | None
    counts: dict[GenerationState, int] = field(default_factory=dict)
    generations: tuple[Generation, ...] = ()


def run_state(generations: Sequence[Generation]) -> RunState:
    """What the states of its generations say about a run (docs: domain, transitions)."""
    if not all(generation.is_done for generation in generations):
        untouched = all(g.state is GenerationState.QUEUED for g in generations)
        return RunState.QUEUED if untouched else RunState.RUNNING
    pictures = [g.pictures.state for g in generations if g.pictures and g.content_id]
    written = [g for g in generations if g.state is GenerationState.SUCCEEDED]
    if PictureState.BUDGET_REACHED in pictures:
        return RunState.BUDGET_REACHED
    if all(g.state is GenerationState.CANCELLED for g in generations):
        return RunState.CANCELLED
    if not written:
        return RunState.FAILED
    if len(written) < len(generations) or PictureState.FAILED in pictures:
        return RunState.PARTLY_FAILED
    return RunState.SUCCEEDED
