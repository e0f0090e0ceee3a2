"""Any order of calls, retries and passing time, compared with a model after every step."""

import asyncio
import itertools
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis import clock
from chassis.caller import Caller
from chassis.database import open_database
from chassis.errors import Refusal
from services.billing.domain import Balance
from tests.billing.conftest import Billing, Clock
from tests.billing.samples import CALL, picture

HOUR = timedelta(hours=1)
HOURS = st.integers(1, 3)
KEYS = st.sampled_from("abcd")
CREDITS = st.integers(0, 60)
STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.lists(KEYS, min_size=1, max_size=3, unique=True), CREDITS),
    st.tuples(st.just("commit"), KEYS, CREDITS),
    st.tuples(st.just("void"), KEYS),
    st.tuples(st.just("wait"), HOURS),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("open")),
)


class Model:
    """What the service should answer, in the simplest words there are."""

    def __init__(self, source):
        self.source = source
        self.available, self.spent = 100, 0
        self.holds = {}

    def reserve(self, keys, credits_each):
        if any(key in self.holds and self.holds[key][1] != credits_each for key in keys):
            # Whichever is noticed first, both leave everything as it is.
            return {"REQUEST_ID_REUSED", "INSUFFICIENT_CREDITS"}
        fresh = [key for key in keys if key not in self.holds]
        if credits_each * len(fresh) > self.available:
            return {"INSUFFICIENT_CREDITS"}
        for key in fresh:
            self.available -= credits_each
            self.holds[key] = ["open", credits_each, self.source.moment + 2 * HOUR]
        return {None}

    def commit(self, key, used):
        if key not in self.holds:
            return {"NOT_FOUND"}
        state, held, expire_time = self.holds[key]
        if state == "expired" or (state == "open" and expire_time <= self.source.moment):
            return {"RESERVATION_EXPIRED"}
        if state == "open":
            self.holds[key][0] = "committed"
            self.available += held - min(used, held)
            self.spent += min(used, held)
        return {None}

    def void(self, key):
        if key not in self.holds:
            return {"NOT_FOUND"}
        self._end(key, "voided")
        return {None}

    def wait(self, hours):
        self.source.forward(hours=hours)
        return {None}

    def sweep(self):
        for key, (_, _, expire_time) in self.holds.items():
            if expire_time <= self.source.moment:
                self._end(key, "expired")
        return {None}

    def open(self):
        return {None}

    def balance(self):
        reserved = sum(held for state, held, _ in self.holds.values() if state == "open")
        return Balance(100, self.available, reserved, self.spent)

    def _end(self, key, state):
        if self.holds[key][0] == "open":
            self.holds[key][0] = state
            self.available += self.holds[key][1]


async def outcome(billing, who, step):
    """The reason of the refusal, or None."""
    name, *rest = step
    calls = {
        "reserve": lambda keys, n: billing.reservations.reserve(
            who, [picture(key, n) for key in keys], ttl=2 * HOUR
        ),
        "commit": lambda key, used: billing.settlement.commit(who, key, used, CALL),
        "void": lambda key: billing.settlement.void(who, key, ""),
        "wait": lambda _: asyncio.sleep(0),
        "sweep": lambda: billing.sweeper.sweep(),
        "open": lambda: billing.accounts.open(who),
    }
    try:
        await calls[name](*rest)
    except Refusal as refusal:
        return refusal.reason
    return None


async def compare(billing, who, steps, times):
    source = Clock()
    with clock.frozen(source):
        await billing.accounts.open(who)
        model = Model(source)
        for step in steps:
            expected = getattr(model, step[0])(*step[1:])
            # A lost answer makes a caller ask again: at once, and perhaps at the same time.
            answers = await asyncio.gather(*(outcome(billing, who, step) for _ in range(times)))
            assert set(answers) <= expected, step
            assert await billing.balance(who) == model.balance(), step
    assert await billing.drifts() == []


@pytest.mark.parametrize("times", [1, 3])
def test_any_interleaving_agrees_with_the_model(database_url, times):
    numbers = itertools.count()
    with asyncio.Runner() as runner:

        async def opened():
            return Billing(open_database(database_url))

        billing = runner.run(opened())

        @settings(
            max_examples=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(st.lists(STEPS, min_size=5, max_size=25))
        def agrees(steps):
            who = Caller.service("tasks", account_id=f"account-{next(numbers)}")
            runner.run(compare(billing, who, steps, times))

        try:
            agrees()
        finally:
            runner.run(billing.database.close())
