"""Bounds and closed sets of values, spelled as in the contracts."""

from __future__ import annotations

from enum import StrEnum

CREDITS_MAX = 2**31 - 1
"""The largest amount that a contract can show."""
PLAN_DEFAULT = "free"
ID_CHARS = 64
"""Longest id that is kept; those of other services are kept as they come."""
KEY_CHARS = 128
"""Longest key of a reservation, and id of a thing paid for."""
MODEL_CHARS = 128
ACTOR_CHARS = 128
REASON_CHARS = 500
SETTLE_REASON_CHARS = 200
REQUEST_ID_CHARS = 64
PLAN_PRIORITY = 10
"""Plan credits burn before others; lower burns first."""
PRIORITY_DEFAULT = 50
LOW_PERCENTS = (20, 10, 0)
"""Thresholds of what is available, in percent of the plan's credits, from the top."""


class Operation(StrEnum):
    """What credits are spent on."""

    CONTENT_GENERATION = "content_generation"
    IMAGE_PROMPT_EXTRACTION = "image_prompt_extraction"
    IMAGE_GENERATION = "image_generation"
    CLUSTERING = "clustering"
    IDEA_GENERATION = "idea_generation"
    LINKING = "linking"
    OPTIMIZATION = "optimization"

    @property
    def words(self) -> str:
        """For sentences, such as `Content generation`."""
        return self.value.replace("_", " ").capitalize()


class Unit(StrEnum):
    """What a price is for."""

    PER_REQUEST = "per_request"
    PER_100_WORDS = "per_100_words"
    PER_200_WORDS = "per_200_words"
    PER_ITEM = "per_item"
    PER_IMAGE = "per_image"


class ReservationState(StrEnum):
    """Whether and how a reservation was settled; all but `open` are final."""

    OPEN = "open"
    COMMITTED = "committed"
    VOIDED = "voided"
    EXPIRED = "expired"


class TransactionType(StrEnum):
    """Why an account's credits changed."""

    PURCHASE = "purchase"
    SUBSCRIPTION = "subscription"
    REFUND = "refund"
    DEDUCTION = "deduction"
    ADJUSTMENT = "adjustment"
    EXPIRY = "expiry"


class BudgetScope(StrEnum):
    """What a budget is for."""

    SITE = "site"
    API_KEY = "api_key"
    RUN = "run"


class UsageDimension(StrEnum):
    """What sums of usage may be about."""

    DAY = "day"
    SITE = "site"
    OPERATION = "operation"
    MODEL = "model"
