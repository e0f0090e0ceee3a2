"""Asking again: which errors are repeated, how often, and when it ends."""

import asyncio
from dataclasses import replace

import pytest

from chassis import clock
from chassis.retry import GivenUp, GiveUp, Retry, RetryPolicy, next_delay_s, retried

QUICK = RetryPolicy(attempts_max=3, first_delay_s=0.001, delay_max_s=0.002)
PATIENT = replace(QUICK, busy_attempts_max=5)


class Flaky:
    """Fails with the given errors, one a call, then answers."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def busy(_error):
    return Retry("BUSY", "it was busy")


async def test_an_error_that_passes_is_repeated_until_the_answer():
    operation = Flaky(OSError(), OSError())
    assert await retried(operation, busy, QUICK) == "answer"
    assert operation.calls == 3


async def test_attempts_are_bounded_and_the_last_reason_is_told():
    operation = Flaky(*[OSError()] * 10)
    with pytest.raises(GivenUp) as given_up:
        await retried(operation, busy, QUICK)
    assert operation.calls == 3
    assert (given_up.value.reason, given_up.value.attempts) == ("BUSY", 3)


def busy_or_bad(error):
    return Retry("BUSY", is_busy=True) if isinstance(error, OSError) else Retry("BAD")


async def test_a_busy_other_side_is_asked_more_often():
    operation = Flaky(*[OSError()] * 10)
    with pytest.raises(GivenUp) as given_up:
        await retried(operation, busy_or_bad, PATIENT)
    assert (operation.calls, given_up.value.reason, given_up.value.attempts) == (5, "BUSY", 5)


async def test_being_turned_away_takes_no_attempt_from_what_comes_then():
    operation = Flaky(*[OSError()] * 4, *[ValueError()] * 10)
    with pytest.raises(GivenUp) as given_up:
        await retried(operation, busy_or_bad, PATIENT)
    assert (operation.calls, given_up.value.reason, given_up.value.attempts) == (7, "BAD", 7)


async def test_a_hopeless_error_is_not_repeated():
    operation = Flaky(ValueError())
    with pytest.raises(GivenUp, match="REFUSED after 1"):
        await retried(operation, lambda _: GiveUp("REFUSED", "no"), QUICK)
    assert operation.calls == 1


async def test_a_foreign_error_is_raised_as_it_is():
    with pytest.raises(KeyError):
        await retried(Flaky(KeyError()), lambda _: None, QUICK)


async def test_the_wait_that_was_asked_for_is_kept():
    started_s = clock.elapsed_s()
    await retried(Flaky(OSError()), lambda _: Retry("BUSY", after_s=0.15), QUICK)
    assert clock.elapsed_s() - started_s >= 0.15


@pytest.mark.parametrize("policy", [QUICK, RetryPolicy(total_s=30, retry_after_max_s=1000)])
async def test_a_wait_beyond_the_bounds_ends_it_at_once(policy):
    operation = Flaky(OSError())
    with pytest.raises(GivenUp, match="BUSY after 1"):
        await retried(operation, lambda _: Retry("BUSY", after_s=61), policy)
    assert operation.calls == 1


async def test_an_attempt_that_hangs_is_ended_and_judged():
    async def hang():
        await asyncio.Event().wait()

    policy = RetryPolicy(attempts_max=2, attempt_s=0.02, first_delay_s=0.001)
    with pytest.raises(GivenUp) as given_up:
        await retried(hang, lambda e: Retry("SLOW", type(e).__name__), policy)
    assert (given_up.value.detail, given_up.value.attempts) == ("TimeoutError", 2)


async def test_all_attempts_together_are_bounded_in_time():
    async def hang():
        await asyncio.Event().wait()

    policy = RetryPolicy(attempts_max=1000, attempt_s=0.02, total_s=0.1, first_delay_s=0.001)
    started_s = clock.elapsed_s()
    with pytest.raises(GivenUp):
        await retried(hang, busy, policy)
    assert clock.elapsed_s() - started_s < 1


async def test_cancelling_is_not_an_error_to_repeat():
    operation = Flaky(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await retried(operation, busy, QUICK)
    assert operation.calls == 1


def test_waits_grow_with_jitter_up_to_their_limit():
    policy = RetryPolicy(first_delay_s=1, delay_max_s=8)
    for attempt, limit_s in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (10_000, 8)):
        waits = {next_delay_s(policy, attempt) for _ in range(20)}
        assert limit_s / 2 <= min(waits) <= max(waits) <= limit_s
        assert len(waits) > 1


def test_a_wait_that_was_asked_for_is_the_shortest_not_the_longest():
    policy = RetryPolicy(first_delay_s=2, delay_max_s=30)
    assert next_delay_s(policy, 1, 10.0) == 10.0
    assert next_delay_s(policy, 5, 1.0) >= 15
    assert next_delay_s(policy, 1, -5.0) >= 1
