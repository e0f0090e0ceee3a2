"""Billing's use cases on a fresh database, once on SQLite and once on PostgreSQL.

What the databases do in ways of their own (locks, triggers, plans, groups) runs on both every
time; the rest on PostgreSQL with the slow tests.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, literal, select
from writer.events.v1 import credits_pb2

from chassis import clock
from chassis.caller import Caller
from chassis.columns import UtcDateTime
from chassis.database import Database, open_database
from chassis.outbox import Outbox
from services.billing import schema
from services.billing.domain import Balance
from services.billing.service import (
    Accounts,
    Budgets,
    Catalogue,
    Corrections,
    ExpirySweeper,
    Grants,
    GroupCommit,
    Plans,
    Reconciliation,
    Reservations,
    Settlement,
    Usage,
)
from services.billing.store import Moment
from tests.billing.samples import ACCOUNT

HERE = Path(__file__).parent
ALWAYS_ON_BOTH = {
    "test_crashes.py",
    "test_group_commit.py",
    "test_guards.py",
    "test_interleavings.py",
    "test_ledger.py",
    "test_locks.py",
    "test_reads.py",
    "test_reservations.py",
    "test_sweeps.py",
}


def pytest_collection_modifyitems(items):
    for item in items:
        # The hook sees the tests of all folders.
        of_billing = HERE in item.path.parents and item.path.name not in ALWAYS_ON_BOTH
        if of_billing and "postgresql" in item.name:
            item.add_marker(pytest.mark.slow)


def our_time():
    """Our clock, which tests can move, in the place of the database's."""
    return literal(clock.now(), UtcDateTime())


@dataclass
class Billing:
    """All use cases, and a look behind them."""

    database: Database
    moment: Moment = our_time

    def __post_init__(self):
        outbox = Outbox("billing")
        group_commit = GroupCommit(self.database, outbox, self.moment)
        self.accounts = Accounts(self.database, outbox, self.moment)
        self.plans = Plans(self.database, outbox, self.moment)
        self.grants = Grants(self.database, outbox, self.moment)
        self.corrections = Corrections(self.database, outbox, self.moment)
        self.budgets = Budgets(self.database, self.moment)
        self.catalogue = Catalogue(self.database, self.moment)
        self.usage = Usage(self.database, self.moment)
        self.reservations = Reservations(group_commit)
        self.settlement = Settlement(group_commit)
        self.reconciliation = Reconciliation(self.database)
        self.sweeper = ExpirySweeper(self.database, outbox, self.moment)

    async def balance(self, who) -> Balance:
        return (await self.accounts.get(who)).balance

    async def facts(self):
        """The events in the outbox, oldest first."""

        def work(connection):
            outbox = schema.metadata.tables["outbox"]
            rows = connection.execute(select(outbox).order_by(outbox.c.sequence))
            return [
                getattr(credits_pb2, row.type.rsplit(".", 1)[1]).FromString(row.payload)
                for row in rows
            ]

        return await self.database.read(work)

    async def drifts(self):
        return [drift async for drift in self.reconciliation.drifts()]

    async def count(self, table, *conditions) -> int:
        statement = select(func.count()).select_from(table).where(*conditions)
        return await self.database.read(lambda connection: connection.scalar(statement))

    async def execute(self, statement):
        return await self.database.write(lambda connection: connection.execute(statement).rowcount)


@pytest.fixture
async def database_url(make_database_url):
    return await make_database_url("services.billing")


@pytest.fixture
async def billing(database_url):
    database = open_database(database_url)
    yield Billing(database)
    await database.close()


@pytest.fixture
def tasks():
    """The tasks service at work for a site of the account."""
    return Caller.service(
        "tasks", account_id=ACCOUNT, site_id="site-1", sector_id="sector-1", request_id="request-1"
    )


@pytest.fixture
async def opened(billing, tasks):
    """The account on the free plan: 100 credits."""
    await billing.accounts.open(tasks)
    return billing


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self):
        self.moment = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self):
        return self.moment

    def forward(self, **delta):
        self.moment += timedelta(**delta)


@pytest.fixture
def frozen():
    source = Clock()
    with clock.frozen(source):
        yield source
