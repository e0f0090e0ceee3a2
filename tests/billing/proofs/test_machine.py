"""Random interleavings of all operations, with retries, lost answers, deaths and jumping clocks:
after every step the books agree, and in the end nothing stays open."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import select

from chassis import clock
from chassis.database import open_database
from services.billing import schema
from tests.billing.conftest import Billing, Clock
from tests.billing.proofs import books
from tests.billing.proofs.cutting import Died, Mortal, cut
from tests.billing.proofs.operations import OPERATIONS, Actor, answer, prepare

FAULTS = st.one_of(
    st.just("none"),
    st.sampled_from(["twice", "before", "inside", "after"]),
    st.integers(1, 60),
)
SWEEPS = ("sweep", "sweep_periods", "sweep_grants")
# Which answers change with time or with what else happens, though nothing is done twice.
STATEFUL = ("open", "plan", "price", "revoke", "relimit", "unlimit", "succeeded", "failed", *SWEEPS)


class Books(RuleBasedStateMachine):
    """One account; `world` is the real service on a database with other accounts in it."""

    world = None
    runner = None
    numbers = None

    def __init__(self):
        super().__init__()
        self.source = Clock()
        self.frozen = clock.frozen(self.source)
        self.frozen.__enter__()
        self.actor = Actor(self.world, f"account-{next(self.numbers):06}")
        self.history = books.History()
        self.mortal = Billing(Mortal(self.world.database))

    def run(self, coroutine):
        return self.runner.run(coroutine)

    @initialize(opened=st.booleans())
    def begin(self, opened):
        self.run(self._perform(("price", {"credits": 1}), "none"))
        if opened:
            self.run(self._perform(("open", {}), "none"))

    @rule(operation=OPERATIONS, fault=FAULTS, repeated=st.booleans())
    def call(self, operation, fault, repeated):
        self.run(self._perform(operation, fault, repeated=repeated))
        self.check()

    @rule(operations=st.lists(OPERATIONS, min_size=2, max_size=4))
    def calls_at_once(self, operations):
        async def together():
            calls = [await prepare(self.actor, each) for each in operations]
            await asyncio.gather(*(answer(call, self.world) for call in calls))

        self.run(together())
        self.check()

    @rule(operation=OPERATIONS, times=st.integers(2, 5))
    def one_call_many_times_at_once(self, operation, times):
        async def together():
            call = await prepare(self.actor, operation)
            return await asyncio.gather(*(answer(call, self.world) for _ in range(times)))

        answers = self.run(together())
        if operation[0] not in STATEFUL:
            assert all(each == answers[0] for each in answers), (operation, answers)
        self.check()

    @rule(minutes=st.sampled_from([1, 119, 120, 60 * 24, 60 * 24 * 31, 60 * 24 * 100]))
    def time_passes(self, minutes):
        self.source.forward(minutes=minutes)

    @rule(minutes=st.integers(1, 90))
    def the_clock_goes_back(self, minutes):
        self.source.forward(minutes=-minutes)

    @rule()
    def the_projection_is_lost(self):
        table = schema.account_balances
        self.run(self.world.execute(table.delete().where(table.c.account_id == self.actor.account)))
        self.check()

    async def _perform(self, operation, fault, *, repeated=True):
        call = await prepare(self.actor, operation)
        if fault in ("before", "inside", "after"):
            self.mortal.database.dies = fault
            try:
                await answer(call, self.mortal)
            except Died:
                if not repeated:
                    return
            self.mortal.database.dies = ""
        elif isinstance(fault, int):
            heard = await cut(answer(call, self.world), fault)
            if heard is None and not repeated:
                return
        first = await answer(call, self.world)
        if fault == "twice" and operation[0] not in STATEFUL:
            assert await answer(call, self.world) == first, operation

    def check(self):
        def work(connection):
            books.check(connection, self.actor.account)
            self.history.check(connection, self.actor.account)

        self.run(self.world.database.read(work))

    def teardown(self):
        try:
            self.source.forward(days=400)
            self.run(self._let_everything_end())
            self.check()
        finally:
            self.frozen.__exit__(None, None, None)

    async def _let_everything_end(self):
        for sweep in SWEEPS:
            for _ in range(3):
                await getattr(self.world.sweeper, sweep)()
        table = schema.reservations
        is_open = (table.c.account_id == self.actor.account, table.c.state == "open")
        assert await self.world.count(table, *is_open) == 0
        balance = await self.world.balance(self.actor.tasks)
        assert balance.reserved == 0
        # What is left can be used: nothing is kept by grants that have ended.
        grants = schema.grants
        left = select(grants.c.available, grants.c.expire_time, grants.c.revoke_time).where(
            grants.c.account_id == self.actor.account, grants.c.available > 0
        )
        rows = await self.world.database.read(lambda connection: connection.execute(left).all())
        assert balance.available == sum(row.available for row in rows)
        for row in rows:
            assert row.revoke_time is None
            assert row.expire_time is None or row.expire_time > self.source.moment


def run_machine(database_url, examples, steps):
    with asyncio.Runner() as runner:

        async def opened():
            return Billing(open_database(database_url))

        world = runner.run(opened())
        machine = type(
            "Machine",
            (Books,),
            {"world": world, "runner": runner, "numbers": itertools.count(1)},
        )
        try:
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    derandomize=examples < 100,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(world.database.close())


def test_the_books_agree_after_any_step(database_url):
    run_machine(database_url, examples=8, steps=20)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_books_agree_after_any_of_many_steps(database_url):
    run_machine(database_url, examples=150, steps=30)
