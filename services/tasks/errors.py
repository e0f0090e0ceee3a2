"""What the tasks service refuses, beyond what every service does."""

from __future__ import annotations

from chassis.errors import InvalidFields, InvalidTransition, Violation


class TasksNotQueued(InvalidTransition):
    """A task that is already written must be queued again by hand first."""

    def __init__(self, task_ids: list[str]) -> None:
        super().__init__(
            "Only queued tasks can be written, and these are completed.",
            ids=", ".join(task_ids),
        )


class TasksBeingWritten(InvalidTransition):
    """A task is written by one generation at a time."""

    def __init__(self, task_ids: list[str]) -> None:
        super().__init__("A task is already being written.", ids=", ".join(task_ids))


class ReservationSettled(InvalidTransition):
    """The same request failed before and its credits were given back."""

    def __init__(self) -> None:
        super().__init__("This request was given up before; send it under a new idempotency key.")


class SeveralSites(InvalidFields):
    """A run belongs to one site."""

    def __init__(self) -> None:
        super().__init__(Violation("ids", "must all belong to one site"))


class UnknownReference(InvalidFields):
    """A cluster or term does not exist in the task's site and sector."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(Violation(field, f"there is no such {what} in this site and sector"))
