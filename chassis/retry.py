"""Asking an outside party again: one policy, bounded in attempts, in each wait and in total.

What an error means is the caller's knowledge (`classify`); how often and when to ask again
is decided here. A wait that the other side asks for is kept in full or not at all: asking
earlier would only make it worse, so a wait beyond the bound ends the attempts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from chassis import clock

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The bounds of one retried operation."""

    attempts_max: int = 5
    """How often an operation is tried that costs something or fails for reasons of its own."""
    busy_attempts_max: int = 5
    """How often while the other side says that it is too busy, which costs nothing but time."""
    attempt_s: float = 120.0
    """How long one attempt may take; then it ends in a TimeoutError, which `classify` judges."""
    total_s: float = 300.0
    """All attempts and waits together; no attempt begins after it, and none runs beyond it."""
    first_delay_s: float = 0.5
    """Upper limit of the first wait; it doubles with every attempt."""
    delay_max_s: float = 20.0
    retry_after_max_s: float = 60.0
    """The longest wait that the other side may ask for."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The error may pass. `reason` and `detail` are told if it never does."""

    reason: str
    detail: str = ""
    after_s: float | None = None
    """The wait that the other side asked for."""
    is_busy: bool = False
    """The other side did nothing for us: only its time has to come."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The same request would fail in the same way again."""

    reason: str
    detail: str = ""


Verdict = Retry | GiveUp | None
"""None: the error is none of the policy's business and is raised as it is."""


class GivenUp(Exception):
    """The operation was given up for a reason that a consumer can tell."""

    def __init__(self, reason: str, detail: str, attempts: int) -> None:
        super().__init__(f"{reason} after {attempts} attempt(s): {detail}")
        self.reason = reason
        self.detail = detail
        self.attempts = attempts


def next_delay_s(policy: RetryPolicy, attempt: int, after_s: float | None = None) -> float:
    """Seconds to wait after this attempt (from 1): with jitter, and at least what was asked for.

    Not only what was asked for: others were told the same, and a limit may outlast it.
    """
    # The exponent is bounded so that a large attempt number cannot overflow.
    limit_s = min(policy.delay_max_s, policy.first_delay_s * 2.0 ** min(attempt - 1, 30))
    jittered_s = random.uniform(limit_s / 2, limit_s)  # noqa: S311  jitter
    return max(after_s or 0.0, jittered_s)


async def retried(
    operation: Callable[[], Awaitable[_T]],
    classify: Callable[[Exception], Verdict],
    policy: RetryPolicy,
) -> _T:
    """Runs `operation` until it succeeds or the policy ends it. Raises GivenUp."""
    ends_s = clock.elapsed_s() + policy.total_s
    failures, busy = 0, 0
    while True:
        try:
            async with asyncio.timeout(min(policy.attempt_s, ends_s - clock.elapsed_s())):
                return await operation()
        except Exception as error:
            verdict = classify(error)
            if verdict is None:
                raise
            attempts = failures + busy + 1
            if isinstance(verdict, GiveUp):
                raise GivenUp(verdict.reason, verdict.detail, attempts) from error
            # Counted apart: being turned away a few times leaves all chances to what comes then.
            if verdict.is_busy:
                busy += 1
                attempt, is_last = busy, busy >= policy.busy_attempts_max
            else:
                failures += 1
                attempt, is_last = failures, failures >= policy.attempts_max
            delay_s = next_delay_s(policy, attempt, verdict.after_s)
            asked_too_much = (verdict.after_s or 0.0) > policy.retry_after_max_s
            if is_last or asked_too_much or clock.elapsed_s() + delay_s >= ends_s:
                raise GivenUp(verdict.reason, verdict.detail, attempts) from error
        await asyncio.sleep(delay_s)
