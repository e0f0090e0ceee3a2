"""Refusals: the one kind of error that travels from a rule to the caller.

Imports nothing, so that a pure domain may raise them. What a refusal becomes on the wire
is decided in chassis.status; any other exception becomes INTERNAL there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ID_CHARS_MAX = 64
"""What is echoed of an id: our own are shorter, and an error must fit into gRPC's trailers."""


class Kind(StrEnum):
    """The canonical codes that a refusal may have."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field at fault, under the name it has in the contract."""

    field: str
    description: str


class Refusal(Exception):
    """A request that was understood and is refused.

    `reason` is stable and upper snake case; `message` is one sentence for people; the
    parts that vary go into `metadata`, never into the reason.
    """

    def __init__(
        self,
        kind: Kind,
        reason: str,
        message: str,
        *,
        metadata: dict[str, str] | None = None,
        violations: tuple[Violation, ...] = (),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.metadata = metadata or {}
        self.violations = violations


class InvalidFields(Refusal):
    """One or more fields are at fault."""

    def __init__(self, *violations: Violation, reason: str = "INVALID_FIELDS") -> None:
        names = ", ".join(dict.fromkeys(v.field for v in violations))
        super().__init__(
            Kind.INVALID_ARGUMENT,
            reason,
            f"The request is not valid: see {names}." if names else "The request is not valid.",
            violations=violations,
        )


class NotFound(Refusal):
    """The thing does not exist, or belongs to somebody else: the answer is the same.

    Metadata are strings, as ErrorInfo has them, so several `ids` are one, separated by commas.
    """

    def __init__(self, resource: str, *ids: str) -> None:
        named = ", ".join(each[:ID_CHARS_MAX] for each in ids)
        if len(ids) > 1:
            message = f"There are no {_several(resource)} {named}."
        else:
            message = (
                f"There is no {resource} {named}." if named else f"There is no such {resource}."
            )
        super().__init__(
            Kind.NOT_FOUND, "NOT_FOUND", message, metadata={"resource": resource, "ids": named}
        )


def _several(resource: str) -> str:
    return f"{resource[:-1]}ies" if resource.endswith("y") else f"{resource}s"


class AlreadyExists(Refusal):
    """Something else has the name, slug or key."""

    def __init__(self, resource: str, existing_id: str) -> None:
        super().__init__(
            Kind.ALREADY_EXISTS,
            "ALREADY_EXISTS",
            f"There is already such a {resource}.",
            metadata={"resource": resource, "id": existing_id},
        )


class InvalidTransition(Refusal):
    """The thing is not in a state that allows this."""

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(Kind.FAILED_PRECONDITION, "INVALID_TRANSITION", message, metadata=metadata)


class EtagMismatch(Refusal):
    """The row has changed since the caller read it."""

    def __init__(self, resource: str, current: str) -> None:
        super().__init__(
            Kind.ABORTED,
            "ETAG_MISMATCH",
            f"The {resource} has changed since you read it.",
            metadata={"etag": current},
        )


class RequestIdReused(Refusal):
    """The same request id came with another body."""

    def __init__(self) -> None:
        super().__init__(
            Kind.INVALID_ARGUMENT,
            "REQUEST_ID_REUSED",
            "This idempotency key was used for another request.",
        )


class PageTokenInvalid(Refusal):
    """The page token is damaged or belongs to other filters."""

    def __init__(self) -> None:
        super().__init__(
            Kind.INVALID_ARGUMENT,
            "PAGE_TOKEN_INVALID",
            "The page token does not belong to this list.",
            violations=(Violation("page_token", "does not belong to this list"),),
        )


class Unauthenticated(Refusal):
    """Who calls is not known."""

    def __init__(
        self, message: str = "Credentials are required.", *, reason: str = "UNAUTHENTICATED"
    ) -> None:
        super().__init__(Kind.UNAUTHENTICATED, reason, message)


class Forbidden(Refusal):
    """Who calls is known and may not do this."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(Kind.PERMISSION_DENIED, reason, message)


class Unavailable(Refusal):
    """Something that is needed does not answer; asking again later may help."""

    def __init__(self, message: str = "The service is not available at the moment.") -> None:
        super().__init__(Kind.UNAVAILABLE, "UNAVAILABLE", message)
