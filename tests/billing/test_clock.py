"""Time is the database's: processes whose clocks differ agree about what has expired."""

from datetime import UTC, datetime, timedelta

import pytest

from chassis import clock
from services.billing.domain import Balance, ReservationState
from services.billing.store import DatabaseTime, read
from tests.billing.conftest import Billing
from tests.billing.samples import CALL, text

HOUR = timedelta(hours=1)


@pytest.fixture
async def timed(billing, tasks):
    """The use cases by the database's own clock."""
    timed = Billing(billing.database, DatabaseTime)
    await timed.accounts.open(tasks)
    return timed


async def test_the_databases_clock_is_the_present_time_to_the_millisecond(billing):
    found = await billing.database.read(lambda connection: read(connection, DatabaseTime))
    assert abs(found - datetime.now(UTC)) < timedelta(seconds=5)
    assert found.microsecond % 1000 == 0


@pytest.mark.parametrize("years", [-10, 10])
async def test_a_process_with_another_clock_expires_nothing_early_or_late(timed, tasks, years):
    wrong = datetime.now(UTC) + timedelta(days=365 * years)
    with clock.frozen(lambda: wrong):
        [held] = await timed.reservations.reserve(tasks, [text("a")], ttl=HOUR)
        assert abs(held.expire_time - datetime.now(UTC) - HOUR) < timedelta(seconds=30)
        assert await timed.sweeper.sweep() == 0
        assert await timed.sweeper.sweep_periods() == 0
        assert await timed.sweeper.sweep_grants() == 0
        settled = await timed.settlement.commit(tasks, "a", 640, CALL)
    assert settled.state is ReservationState.COMMITTED
    assert abs(settled.settle_time - datetime.now(UTC)) < timedelta(seconds=30)
    assert await timed.balance(tasks) == Balance(100, 93, 0, 7)


async def test_what_has_expired_by_the_databases_clock_has_expired_for_all(timed, tasks):
    past = timedelta(seconds=-1)
    await timed.reservations.reserve(tasks, [text("a")], ttl=past)
    slow = datetime.now(UTC) - timedelta(days=3650)
    with clock.frozen(lambda: slow):
        assert await timed.sweeper.sweep() == 1
    assert (await timed.reservations.get(tasks, "a")).state is ReservationState.EXPIRED
