"""What the images service refuses, beyond what every service does."""

from __future__ import annotations

from chassis.errors import Kind, Refusal

INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
"""Billing's reason, as it is told on."""


class ReservationLost(Refusal):
    """The credits for this step went back before the work was done."""

    def __init__(self, key: str) -> None:
        super().__init__(
            Kind.FAILED_PRECONDITION,
            "RESERVATION_EXPIRED",
            "The credits for this work are no longer reserved.",
            metadata={"key": key},
        )
