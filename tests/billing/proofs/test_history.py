"""What calls read and write costs the same after a hundred entries and after a million.

Shown by the plans of the very statements that run, with the databases' own statistics, and by
what they touch: steps of SQLite's machine, buffers of PostgreSQL. The slow test prints them.
"""

import json
import re
import sys
import time

import pytest
from writer.billing.v1 import credits_pb2, usage_pb2

from chassis.caller import Caller
from chassis.pages import COUNTED_MAX, PageQuery
from services.billing.domain import Operation, TransactionType
from services.billing.service import Request, Work
from services.billing.store import UsageFilter
from tests.billing.proofs.history import write_history
from tests.billing.samples import CALL, picture
from tests.billing.test_reads import statements

SHORT, ENTRIES_PER_PAIR = 100, 4
# Only what grows with every call; of other tables a test has too few rows for an index.
LONG = "reservations|ledger_transactions|ledger_entries|usage_records"
SCAN = re.compile(rf"(SCAN|Seq Scan on) ({LONG})\b")
COUNT = re.compile(r"SELECT count\(\*\)")
READ = ("SELECT", "UPDATE")


class Account:
    """One account and the calls whose cost is compared."""

    def __init__(self, billing, name):
        self.billing, self.name = billing, name
        self.tasks = Caller.service("tasks", account_id=name, site_id="site-1", request_id="r")
        self.reader = Caller(issuer="gateway", principal="user:1", account_id=name, role="admin")
        self.keys = 0

    async def begin(self, entries):
        pairs = entries // ENTRIES_PER_PAIR
        made = await self.billing.grants.create(
            self.tasks, Request("r", "why"), TransactionType.PURCHASE, pairs + 1000
        )
        await write_history(self.billing.database, self.name, made.id, pairs)

    def transactions(self, **page):
        query = PageQuery.of(credits_pb2.ListTransactionsRequest(**page))
        return self.billing.accounts.transactions(self.reader, query, None)

    def usage(self, wanted=None, **page):
        query = PageQuery.of(usage_pb2.ListUsageRequest(**page))
        return self.billing.usage.page(self.reader, query, wanted or UsageFilter())

    async def reserve_and_commit(self):
        self.keys += 1
        work = Work(run_id="run-1", api_key_id=None)
        key = f"new-{self.keys}"
        await self.billing.reservations.reserve(self.tasks, [picture(key)], work_for=work)
        await self.billing.settlement.commit(self.tasks, key, 1, CALL)

    def calls(self):
        filtered = UsageFilter(operation=Operation.IMAGE_GENERATION)
        return {
            "balance": lambda: self.billing.accounts.get(self.reader),
            "transactions": lambda: self.transactions(page_size=20),
            "usage": lambda: self.usage(page_size=20),
            "usage of an operation": lambda: self.usage(filtered, page_size=20),
            "reserve and commit": self.reserve_and_commit,
        }


async def plans(billing, seen):
    """How the database runs each statement, told by itself."""
    explain = "EXPLAIN QUERY PLAN " if billing.database.dialect == "sqlite" else "EXPLAIN "

    def work(connection):
        found = []
        for statement, parameters in seen:
            rows = connection.exec_driver_sql(explain + statement, parameters).all()
            found.append((statement, [str(row[-1]).strip() for row in rows]))
        return found

    return await billing.database.read(work)


async def touched(billing, seen):
    """What SELECTs touch: steps or buffers, a number that no load of the machine changes."""

    def work(connection):
        found = 0
        for statement, parameters in seen:
            if billing.database.dialect == "postgresql":
                sql = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
                told = connection.exec_driver_sql(sql, parameters).scalar_one()
                [explained] = json.loads(told) if isinstance(told, str) else told
                plan = explained["Plan"]
                found += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            else:
                found += _steps(connection, statement, parameters)
        return found

    return await billing.database.read(work)


def _steps(connection, statement, parameters):
    driver = connection.connection.driver_connection
    steps = 0

    def one():
        nonlocal steps
        steps += 1

    driver.set_progress_handler(one, 1)
    try:
        driver.execute(statement, parameters).fetchall()
    finally:
        driver.set_progress_handler(None, 0)
    return steps


async def cost(billing, call):
    """Plans of a call's statements, what its SELECTs touch without the bounded counts, ms."""
    with statements(billing.database) as seen:
        await call()
    looked = [each for each in seen if each[0].startswith(READ)]
    counts = [each for each in looked if COUNT.match(each[0])]
    reads = [each for each in looked if each[0].startswith("SELECT") and each not in counts]
    reads = [each for each in reads if "FOR UPDATE" not in each[0]]
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        await call()
        times.append((time.perf_counter() - begin) * 1000)
    found = await plans(billing, looked)
    return found, await touched(billing, reads), await touched(billing, counts), min(times)


async def walk(account, pages):
    """Statements of a walk by tokens, and whether every row came once."""
    token, ids = "", []
    with statements(account.billing.database) as seen:
        for _ in range(pages):
            page = await account.transactions(page_size=100, page_token=token)
            ids += [row.id for row in page.rows]
            token = page.next_token
    assert len(set(ids)) == len(ids) == pages * 100
    return [each for each in seen if each[0].startswith("SELECT") and not COUNT.match(each[0])]


async def compare(billing, entries, say):
    short, long = Account(billing, "short"), Account(billing, "long")
    await short.begin(SHORT)
    begin = time.perf_counter()
    await long.begin(entries)
    say(f"\n{billing.database.dialect}: {entries} entries in {time.perf_counter() - begin:.0f} s")
    # Statements are prepared on this connection before they are compared.
    for call in short.calls().values():
        await call()
    for name, call in long.calls().items():
        _, few, few_counted, quick = await cost(billing, short.calls()[name])
        found, many, counted, slow = await cost(billing, call)
        say(
            f"  {name}: touches {few} with {SHORT} entries, {many} with {entries};"
            f" the bounded count {few_counted}, {counted}; {quick:.1f} ms, {slow:.1f} ms"
        )
        for statement, plan in found:
            words = "; ".join(plan)
            say(f"    {' '.join(statement.split())[:60]} … | {words[:300]}")
            # A count stops at its bound, whichever way it goes.
            assert COUNT.match(statement) or not SCAN.search(words), (name, statement, plan)
        # An index of a million is two levels deeper than one of a hundred.
        assert many <= 3 * few + 60, name
        assert counted <= 11 * COUNTED_MAX, name
    pages = await walk(long, min(150, entries // 800))
    first, last = pages[0], pages[-1]
    assert not any(re.search(r"OFFSET [1-9]", statement) for statement, _ in pages)
    costs = [await touched(billing, [each]) for each in (first, last)]
    say(f"  page 1 and page {len(pages)} by token touch {costs[0]} and {costs[1]}")
    assert costs[1] <= 2 * costs[0] + 60
    return await billing.drifts()


@pytest.fixture
def say():
    """Writes a line that is seen with `-s` and with a failure."""
    return lambda line: sys.stdout.write(f"{line}\n")


async def test_calls_cost_the_same_after_many_entries(billing, say):
    assert await compare(billing, 20_000, say) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_calls_cost_the_same_after_a_million_entries(billing, say):
    assert await compare(billing, 1_000_000, say) == []
