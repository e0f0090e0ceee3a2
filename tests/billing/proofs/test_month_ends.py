"""Around the end of a month: a call that read its time before it waited for the account's lock."""

import pytest

from services.billing.domain import BudgetScope
from services.billing.errors import InsufficientCredits
from tests.billing.proofs import books
from tests.billing.proofs.operations import Actor, prepare

HELD = {
    "site": "site-1",
    "run": "",
    "api_key": None,
    "cap": None,
    "words": False,
}
ACCOUNT = "account-000001"


async def test_a_reserve_of_the_old_month_after_one_of_the_new_is_not_counted_in_it(
    billing, frozen
):
    actor = Actor(billing, ACCOUNT)

    async def perform(name, **drawn):
        return await (await prepare(actor, (name, drawn)))(billing)

    await perform("open")
    budget = await perform("limit", scope=BudgetScope.SITE, number=1, credits=10)
    old = frozen.moment
    frozen.forward(hours=12)
    await perform("reserve", keys=["new"], quantity=4, **HELD)
    # The late one read its time before midnight and got the lock after the other.
    new, frozen.moment = frozen.moment, old
    await perform("reserve", keys=["late"], quantity=3, **HELD)
    frozen.moment = new
    assert (await billing.budgets.get(actor.manager, budget.id)).used == 4
    await billing.database.read(lambda connection: books.check(connection, ACCOUNT))
    await perform("void", key="late")
    assert (await billing.budgets.get(actor.manager, budget.id)).used == 4
    await perform("reserve", keys=["more"], quantity=6, **HELD)
    with pytest.raises(InsufficientCredits):
        await perform("reserve", keys=["too much"], quantity=1, **HELD)
    assert await billing.drifts() == []
