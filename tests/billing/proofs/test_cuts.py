"""Every operation cut at every await: afterwards the books agree, and the same call, made again,
has one effect."""

import asyncio

import pytest

from services.billing import schema
from services.billing.domain import BudgetScope
from tests.billing.conftest import Billing
from tests.billing.faults import Died, dying_at, statements
from tests.billing.proofs import books
from tests.billing.proofs.cutting import Mortal, cut
from tests.billing.proofs.operations import Actor, answer, prepare

AWAITS_MAX = 200
STATEMENTS_MAX = 100
HELD = {"quantity": 6, "site": "site-1", "run": "run-1", "api_key": "key-1", "words": False}
HISTORY = (
    ("open", {}),
    ("limit", {"scope": BudgetScope.SITE, "number": 1, "credits": 60}),
    ("reserve", {"keys": ["a", "b", "c", "d"], "cap": 50, **HELD}),
    ("commit", {"key": "d", "used": 5}),
)
LATE = 24 * 40
# The operation, hours that pass before it, and rows that it adds in the end.
CALLS = {
    "plan": (("plan", {"plan": "starter"}), 0, {"grants": 1, "ledger_transactions": 1}),
    "reserve": (
        ("reserve", {"keys": ["e", "f", "g"], "cap": 45, **HELD}),
        0,
        {"reservations": 3, "ledger_transactions": 3},
    ),
    "commit": (
        ("commit", {"key": "a", "used": 4}),
        0,
        {"ledger_transactions": 1, "usage_records": 1},
    ),
    "succeeded": (
        ("succeeded", {"key": "a", "used": 4, "event": 1}),
        0,
        {"ledger_transactions": 1, "usage_records": 1},
    ),
    "void": (("void", {"key": "a"}), 0, {"ledger_transactions": 1}),
    "expiry": (("sweep", {}), 3, {"ledger_transactions": 3}),
    # The old grant lapses, and the new one comes.
    "renewal": (("sweep_periods", {}), LATE, {"grants": 1, "ledger_transactions": 2}),
    "lapse": (("sweep_grants", {}), LATE, {"grants": 1, "ledger_transactions": 2}),
    "purchase": (
        (
            "grant",
            {"request": 1, "credits": 9, "bought": True, "priority": 0, "days": None},
        ),
        0,
        {"grants": 1, "ledger_transactions": 1},
    ),
    "adjust": (("adjust", {"request": 1, "credits": -7}), 0, {"ledger_transactions": 1}),
    "refund": (
        ("refund", {"request": 1, "number": 0, "credits": 3}),
        0,
        {"ledger_transactions": 1},
    ),
    "revoke": (("revoke", {"number": 0}), 0, {"ledger_transactions": 1}),
    "limit": (
        ("limit", {"scope": BudgetScope.RUN, "number": 2, "credits": 60}),
        0,
        {"budgets": 1},
    ),
}


class World:
    """One account with a short history after another, on one database."""

    def __init__(self, billing, frozen):
        self.billing, self.frozen = billing, frozen
        self.start = frozen.moment
        self.number = 0

    async def begin(self, hours):
        self.number += 1
        actor = Actor(self.billing, f"account-{self.number:06}")
        self.frozen.moment = self.start
        for operation in HISTORY:
            await (await prepare(actor, operation))(self.billing)
        self.frozen.forward(hours=hours)
        return actor

    async def counts(self, actor):
        tables = schema.metadata.tables
        names = ("grants", "reservations", "ledger_transactions", "usage_records", "budgets")
        return {
            name: await self.billing.count(tables[name], tables[name].c.account_id == actor.account)
            for name in names
        }

    async def end(self, actor, call, before, added):
        """Asks again, as a caller who heard nothing does, until the effect is there."""
        await self.check(actor)
        first = await answer(call, self.billing)
        again = await answer(call, self.billing)
        if not isinstance(first, int):
            assert first == again
        after = await self.counts(actor)
        found = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        assert found == added
        await self.check(actor)
        # The next accounts must not meet what this one left to the sweepers.
        self.frozen.forward(days=100)
        for sweep in ("sweep", "sweep_periods", "sweep_grants"):
            await getattr(self.billing.sweeper, sweep)()
        await self.billing.execute(schema.subscriptions.delete())

    async def check(self, actor):
        await self.billing.database.read(lambda c: books.check(c, actor.account))


async def cut_everywhere(world, name, stride):
    operation, hours, added = CALLS[name]
    for at in range(1, AWAITS_MAX, stride):
        actor = await world.begin(hours)
        before = await world.counts(actor)
        call = await prepare(actor, operation)
        heard = await cut(call(world.billing), at)
        await world.end(actor, call, before, added)
        if heard is not None:
            assert at > 1
            return
    pytest.fail("the call waits more often than is cut")


@pytest.mark.parametrize("name", ["reserve", "commit", "expiry", "refund"])
async def test_a_call_cut_at_some_awaits_has_one_effect(billing, frozen, name):
    await cut_everywhere(World(billing, frozen), name, 11)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CALLS)
async def test_a_call_cut_at_any_await_has_one_effect(billing, frozen, name):
    await cut_everywhere(World(billing, frozen), name, 1)


async def dead_everywhere(world, name, stride):
    operation, hours, added = CALLS[name]
    for number in range(1, STATEMENTS_MAX, stride):
        actor = await world.begin(hours)
        before = await world.counts(actor)
        call = await prepare(actor, operation)
        with statements(world.billing, dying_at(number)) as seen:
            heard = await asyncio.gather(call(world.billing), return_exceptions=True)
        if len(seen) >= number:
            assert isinstance(heard[0], BaseException)
            assert await world.counts(actor) == before
        await world.end(actor, call, before, added)
        if len(seen) < number:
            return
    pytest.fail("there are more statements than were met")


@pytest.mark.parametrize("name", ["reserve", "renewal", "refund"])
async def test_a_process_that_dies_before_some_statements_leaves_one_effect(billing, frozen, name):
    await dead_everywhere(World(billing, frozen), name, 11)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CALLS)
async def test_a_process_that_dies_before_any_statement_leaves_one_effect(billing, frozen, name):
    await dead_everywhere(World(billing, frozen), name, 1)


async def test_a_process_that_dies_around_a_commit_leaves_one_effect(billing, frozen):
    world = World(billing, frozen)
    mortal = Billing(Mortal(billing.database))
    for operation, hours, added in CALLS.values():
        for dies in ("before", "inside", "after"):
            actor = await world.begin(hours)
            before = await world.counts(actor)
            call = await prepare(actor, operation)
            mortal.database.dies = dies
            with pytest.raises(Died):
                await call(mortal)
            after = await world.counts(actor)
            assert (after != before) == (dies == "after")
            await world.end(actor, call, before, added)
