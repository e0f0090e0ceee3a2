"""What billing refuses, each refusal with its stable reason."""

from __future__ import annotations

from chassis.errors import InvalidFields, Kind, Refusal, Violation

ACCOUNT = "account"


class InsufficientCredits(Refusal):
    """One limit leaves less than what the call needs; nothing was reserved."""

    def __init__(
        self, *, required: int, available: int, limit: str = ACCOUNT, limit_id: str = ""
    ) -> None:
        under = "" if limit == ACCOUNT else f" under the budget of its {limit.replace('_', ' ')}"
        super().__init__(
            Kind.FAILED_PRECONDITION,
            "INSUFFICIENT_CREDITS",
            f"This needs {required} credits and {available} are available{under}.",
            metadata={
                "required": str(required),
                "available": str(available),
                "limit": limit,
                "limit_id": limit_id,
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


class RefundExceedsCharge(Refusal):
    """More was to be given back than is left of what was charged."""

    def __init__(self, transaction_id: str, *, required: int, available: int) -> None:
        super().__init__(
            Kind.FAILED_PRECONDITION,
            "REFUND_EXCEEDS_CHARGE",
            f"{required} credits cannot be given back: {available} are left of this deduction.",
            metadata={
                "transaction_id": transaction_id,
                "required": str(required),
                "available": str(available),
            },
        )


class UnknownPlan(InvalidFields):
    """There is no such plan."""

    def __init__(self, name: str) -> None:
        super().__init__(Violation("plan", f"there is no plan {name}"))


class TooManyCredits(InvalidFields):
    """An account cannot hold so many that a contract could not show them."""

    def __init__(self, most: int, field: str = "credits") -> None:
        what = "must be" if field == "credits" else "must bring"
        super().__init__(Violation(field, f"{what} at most {most} credits for this account"))
