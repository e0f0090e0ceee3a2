"""What billing refuses, each refusal with its stable reason."""

from __future__ import annotations

from chassis.errors import InvalidFields, Kind, Refusal, Violation


class InsufficientCredits(Refusal):
    """There is less than what the call needs; nothing was reserved."""

    def __init__(self, *, required: int, available: int) -> None:
        super().__init__(
            Kind.FAILED_PRECONDITION,
            "INSUFFICIENT_CREDITS",
            f"This needs {required} credits and {available} are available.",
            metadata={
                "required": str(required),
                "available": str(available),
                # Which ceiling was hit; budgets of sites, keys and runs will name themselves.
                "limit": "account",
            },
        )


class ReservationExpired(Refusal):
    """The reservation was not settled in time; its credits went back."""

    def __init__(self, key: str) -> None:
        super().__init__(
            Kind.FAILED_PRECONDITION,
            "RESERVATION_EXPIRED",
            "The reservation has expired and its credits went back.",
            metadata={"key": key},
        )


class UnknownPlan(InvalidFields):
    """There is no such plan."""

    def __init__(self, name: str) -> None:
        super().__init__(Violation("plan", f"there is no plan {name}"))
