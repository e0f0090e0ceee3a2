"""Reads cost the same with a short and a long history: every statement seeks in an index.

Shown by the plans of the very statements that the use cases run, and by their number.
"""

import asyncio
import re
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import event, text
from writer.billing.v1 import budgets_pb2, credits_pb2, grants_pb2, usage_pb2

from chassis import pages
from chassis.caller import Caller
from chassis.pages import PageQuery
from services.billing.domain import Operation, TransactionType
from services.billing.service import Heard, Request, Work
from services.billing.store import UsageFilter
from tests.billing.samples import ACCOUNT, CALL, OPERATOR, picture

READER = Caller(issuer="gateway", principal="user:1", account_id=ACCOUNT, role="admin")
EVERYTHING = PageQuery.of(credits_pb2.ListTransactionsRequest())
AT_SITE = Caller(issuer="gateway", principal="user:1", account_id=ACCOUNT, site_id="site-1")
# `anon_1` is what a count has been bounded to, or what the caller asks for.
SCANS = re.compile(r"SCAN (?!anon_1|CONSTANT)|Seq Scan")
SORTS = re.compile(r"TEMP B-TREE|Sort Key")


@contextmanager
def statements(database):
    """What runs inside the block, with its parameters."""
    engines = (
        [database._reader, database._writer]
        if database.dialect == "sqlite"
        else [database._readers.engine, database._writers.engine]
    )
    seen = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        seen.append((statement, parameters))

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


async def plans(billing, seen):
    """How the database would run each statement, had it many rows."""
    explain = "EXPLAIN QUERY PLAN " if billing.database.dialect == "sqlite" else "EXPLAIN "

    def work(connection):
        if billing.database.dialect == "postgresql":
            # Tables of tests are so small that reading them whole is cheaper than an index.
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        return [
            (statement, str(connection.exec_driver_sql(explain + statement, parameters).all()))
            for statement, parameters in seen
        ]

    return await billing.database.read(work)


def lists(billing):
    """Every list, unfiltered and by each filter, as calls that take paging fields."""

    def transactions(who, kind=None):
        return lambda **page: billing.accounts.transactions(
            who, PageQuery.of(credits_pb2.ListTransactionsRequest(**page)), kind
        )

    def usage(who, **fields):
        return lambda **page: billing.usage.page(
            who, PageQuery.of(usage_pb2.ListUsageRequest(**page)), UsageFilter(**fields)
        )

    def grants(**page):
        query = PageQuery.of(grants_pb2.ListGrantsRequest(**page))
        return billing.grants.page(READER, query, only_available=False)

    async def budgets(**page):
        query = PageQuery.of(budgets_pb2.ListBudgetsRequest(**page))
        return (await billing.budgets.page(READER, query, None, ""))[0]

    return {
        "transactions": transactions(READER),
        "transactions of a type": transactions(READER, TransactionType.DEDUCTION),
        "transactions of a site": transactions(AT_SITE),
        "usage": usage(READER),
        "usage of a site": usage(AT_SITE),
        "usage of an operation": usage(READER, operation=Operation.IMAGE_GENERATION),
        "usage of a model": usage(READER, model="gpt-5-mini"),
        "usage of a run": usage(READER, run_id="run-1"),
        "usage of a key": usage(READER, api_key_id="key-1"),
        "grants": grants,
        "budgets": budgets,
    }


async def test_lists_seek_on_every_page(opened, tasks):
    work = Work(run_id="run-1", api_key_id="key-1")
    for number in range(3):
        await opened.reservations.reserve(tasks, [picture(f"{number}")], work_for=work)
        await opened.settlement.commit(tasks, f"{number}", 1, CALL)
    for name, read in lists(opened).items():
        with statements(opened.database) as seen:
            first = await read(page_size=1)
            if first.next_token:
                await read(page_size=1, page_token=first.next_token)
        for statement, plan in await plans(opened, seen):
            assert not SCANS.search(plan), (name, statement, plan)
            assert not SORTS.search(plan), (name, statement, plan)


async def test_calls_seek_whatever_they_do(opened, tasks):
    work = Work(run_id="run-1", api_key_id=None)
    with statements(opened.database) as seen:
        await opened.reservations.reserve(tasks, [picture("a"), picture("b")], work_for=work)
        await opened.settlement.commit(tasks, "a", 1, CALL)
        await opened.settlement.void(tasks, "b", "")
        await opened.balance(tasks)
        await opened.sweeper.sweep()
        await opened.sweeper.sweep_grants()
        await opened.sweeper.sweep_periods()
    await seek(opened, seen)


async def test_calls_of_operators_and_events_seek_whatever_they_do(opened, tasks):
    items = [picture(key, 3) for key in ("a", "b", "c")]
    await opened.reservations.reserve(tasks, items, work_for=Work(run_id="run-1"))
    with statements(opened.database) as seen:
        await opened.reservations.quote(tasks, items)
        await opened.settlement.work_succeeded(Heard("billing", "1"), tasks, "a", 3, CALL)
        await opened.settlement.work_failed(Heard("billing", "2"), tasks, "b", "TIMEOUT", CALL)
        rows = (await opened.accounts.transactions(READER, EVERYTHING, None)).rows
        [spent] = [row.id for row in rows if row.transaction_type == "deduction"]
        await opened.accounts.transaction(READER, spent)
        await opened.reservations.get(tasks, "c")
        await opened.corrections.refund(OPERATOR, Request("1", "wrong"), spent)
        await opened.corrections.adjust(OPERATOR, Request("2", "more"), 5, spent)
        await opened.corrections.adjust(OPERATOR, Request("3", "less"), -5)
        request = Request("4", "bought")
        grant = await opened.grants.create(OPERATOR, request, TransactionType.PURCHASE, 9)
        await opened.grants.revoke(OPERATOR, grant.id, "charged back")
        await opened.plans.change(tasks, "starter")
        await opened.accounts.get(tasks)
        await opened.usage.summarize(READER, [], UsageFilter())
        await opened.reservations.reserve(
            tasks, [picture("d")], work_for=Work(run_id="run-2", run_cap=9)
        )
        [budget] = (await opened.budgets.page(READER, EVERYTHING, None, ""))[0].rows
        await opened.budgets.update(READER, budget.id, 7, "")
        await opened.budgets.delete(READER, budget.id, "")
    await seek(opened, seen)


async def seek(billing, seen):
    looked = [each for each in seen if each[0].startswith(("SELECT", "UPDATE", "DELETE"))]
    # Prices and plans are a handful for all accounts; of grants those with credits are sorted,
    # and sums are of what they have to add up.
    for statement, plan in await plans(billing, looked):
        if not re.search(r"FROM (prices|plans)", statement):
            assert not SCANS.search(plan), (statement, plan)
            may_sort = "grants" in statement or "GROUP BY" in statement
            assert may_sort or not SORTS.search(plan), (statement, plan)


async def test_a_total_is_counted_up_to_a_bound(opened, tasks, monkeypatch):
    monkeypatch.setattr(pages, "PAGE_SIZE_MAX", 2)
    for number in range(5):
        await opened.reservations.reserve(tasks, [picture(f"{number}")])
        await opened.settlement.commit(tasks, f"{number}", 1, CALL)
    monkeypatch.setattr("services.billing.store.ledger.COUNTED_MAX", 4)
    seen, token = [], ""
    while True:
        query = PageQuery.of(credits_pb2.ListTransactionsRequest(page_token=token))
        page = await opened.accounts.transactions(READER, query, None)
        assert page.total_size == 4
        seen += [row.id for row in page.rows]
        token = page.next_token
        if not token:
            break
    assert len(set(seen)) == 6


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_many_at_once_are_as_many_statements_as_one(opened, tasks):
    async def count(*calls):
        with statements(opened.database) as seen:
            await asyncio.gather(*calls)
        return len(
            [each for each in seen if not each[0].startswith(("SAVEPOINT", "RELEASE", "BEGIN"))]
        )

    def reserve(*keys):
        return opened.reservations.reserve(tasks, [picture(key) for key in keys])

    one = await count(reserve("one"))
    assert one <= 11
    assert await count(reserve(*"abcdefghij")) == one
    assert await count(*map(reserve, "klmnopqrst")) == one
    committed = await count(opened.settlement.commit(tasks, "one", 1, CALL))
    assert committed <= 10
    several = [opened.settlement.commit(tasks, key, 1, CALL) for key in "abcdefghijklm"]
    assert await count(*several) == committed


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_writing_takes_no_longer_because_others_have_grants_and_a_history(opened, tasks):
    """Foreign keys and triggers look, too, which no plan of our statements shows."""

    async def steps(key):
        counted = 0

        def one():
            nonlocal counted
            counted += 1

        def handler(connection, each):
            connection.connection.driver_connection.set_progress_handler(each, 1)

        await opened.database.write(lambda connection: handler(connection, one))
        keys = [f"{key} {number}" for number in range(5)]
        await asyncio.gather(*(opened.reservations.reserve(tasks, [picture(key)]) for key in keys))
        await asyncio.gather(*(opened.settlement.commit(tasks, key, 1, CALL) for key in keys))
        await opened.database.write(lambda connection: handler(connection, None))
        return counted

    await steps("first")
    alone = await steps("alone")
    for number in range(100):
        other = replace(tasks, account_id=f"account-{number}")
        await opened.accounts.open(other)
        await opened.reservations.reserve(other, [picture("a")])
    assert await steps("in company") <= alone + 100
