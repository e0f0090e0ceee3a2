"""What credits were used for: every screen adds up the same rows."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from writer.billing.v1 import usage_pb2

from chassis.caller import Caller
from chassis.errors import InvalidFields
from chassis.pages import PageQuery
from services.billing import schema
from services.billing.domain import Operation, UsageDimension
from services.billing.service import Work, usage
from services.billing.store import UsageFilter
from tests.billing.samples import ACCOUNT, CALL, picture, text

DAY, SITE, OPERATION, MODEL = UsageDimension
ANYBODY = Caller(issuer="gateway", principal="user:1", account_id=ACCOUNT, role="editor")


@pytest.fixture
async def worked(frozen, opened, tasks):
    """Three days of work for two sites, two models, two keys."""
    elsewhere = replace(tasks, site_id="site-2")
    other = replace(CALL, model="offline-1", provider_cost_micro_usd=2_500)
    for who, item, used, call, key in (
        (tasks, text("a", 1000), 640, CALL, "key-1"),
        (elsewhere, text("b", 500), 500, other, ""),
        (tasks, picture("c", 3), 2, other, "key-1"),
        (tasks, text("d", 200), 200, CALL, "key-2"),
        (elsewhere, picture("e", 4), 0, CALL, "key-2"),
    ):
        work = Work(run_id=f"run-{key}", api_key_id=key)
        await opened.reservations.reserve(who, [item], work_for=work)
        await opened.settlement.commit(who, item.key, used, call)
        frozen.forward(hours=14)
    return opened


def wanted(**fields):
    return UsageFilter(**fields)


async def sums(billing, *dimensions, who=ANYBODY, **fields):
    summary = await billing.usage.summarize(who, dimensions, wanted(**fields))
    rows = [(*row[: len(dimensions)], row.calls, int(row.credits)) for row in summary.rows]
    assert sum(row[-1] for row in rows) == int(summary.total.credits)
    assert sum(row[-2] for row in rows) == summary.total.calls
    return rows


async def test_usage_is_summed_by_day_site_operation_and_model(worked):
    assert await sums(worked, DAY) == [
        ("2026-01-31", 1, 7),
        ("2026-02-01", 2, 7),
        ("2026-02-02", 2, 2),
    ]
    # Without a dimension, by day.
    assert await sums(worked) == [(1, 7), (2, 7), (2, 2)]
    assert await sums(worked, SITE) == [("site-1", 3, 11), ("site-2", 2, 5)]
    assert await sums(worked, MODEL, OPERATION) == [
        ("gpt-5-mini", "content_generation", 2, 9),
        ("gpt-5-mini", "image_generation", 1, 0),
        ("offline-1", "content_generation", 1, 5),
        ("offline-1", "image_generation", 1, 2),
    ]
    assert await sums(worked, SITE, api_key_id="key-2") == [("site-1", 1, 2), ("site-2", 1, 0)]
    assert await sums(worked, SITE, operation=Operation.IMAGE_GENERATION, run_id="run-key-1") == [
        ("site-1", 1, 2)
    ]


async def test_sums_of_usage_are_the_sums_of_deductions(worked, frozen):
    table = schema.ledger_transactions
    start, end = frozen.moment - timedelta(hours=57), frozen.moment - timedelta(hours=14)
    statement = select(func.sum(table.c.amount)).where(
        table.c.transaction_type == "deduction",
        table.c.create_time >= start,
        table.c.create_time < end,
    )
    deducted = await worked.database.read(lambda connection: connection.scalar(statement))
    rows = await sums(worked, DAY, SITE, start_time=start, end_time=end)
    assert sum(row[-1] for row in rows) == -deducted == 9


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_what_providers_charged_is_summed_where_it_is_known(worked):
    summary = await worked.usage.summarize(ANYBODY, [MODEL], wanted())
    costs = {row.model: int(row.provider_cost_micro_usd) for row in summary.rows}
    assert costs == {"gpt-5-mini": 0, "offline-1": 5_000}
    assert int(summary.total.prompt_tokens) == 5 * 900


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_caller_sees_only_usage_of_its_sites(worked):
    limited = replace(ANYBODY, allowed_sites=("site-2",))
    assert await sums(worked, SITE, who=limited) == [("site-2", 2, 5)]
    chosen = replace(ANYBODY, site_id="site-1")
    assert await sums(worked, SITE, who=chosen) == [("site-1", 3, 11)]
    assert await sums(worked, SITE, who=replace(ANYBODY, account_id="other")) == []


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize(
    ("fields", "keys"),
    [
        ({"model": "offline-1"}, ["a-2", "b-5"]),
        ({"api_key_id": "key-1"}, ["a-2", "a-7"]),
        ({"operation": Operation.IMAGE_GENERATION}, ["b-0", "a-2"]),
    ],
)
async def test_lists_have_the_same_filters(worked, fields, keys):
    query = PageQuery.of(usage_pb2.ListUsageRequest())
    page = await worked.usage.page(ANYBODY, query, wanted(**fields))
    shown = [f"{'a' if row.site_id == 'site-1' else 'b'}-{row.credits}" for row in page.rows]
    assert shown == keys


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_list_can_be_cut_by_time(worked, frozen):
    query = PageQuery.of(usage_pb2.ListUsageRequest())
    start, end = frozen.moment - timedelta(hours=56), frozen.moment - timedelta(hours=28)
    page = await worked.usage.page(ANYBODY, query, wanted(start_time=start, end_time=end))
    assert [row.credits for row in page.rows] == [2, 5]


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_summary_has_bounds(worked, frozen, monkeypatch):
    too_long = {"start_time": frozen.moment - timedelta(days=93)}
    backwards = {"start_time": frozen.moment, "end_time": frozen.moment}
    for fields in (too_long, backwards):
        with pytest.raises(InvalidFields):
            await sums(worked, DAY, **fields)
    monkeypatch.setattr(usage, "ROWS_MAX", 2)
    assert len(await sums(worked, SITE)) == 2
    with pytest.raises(InvalidFields):
        await sums(worked, DAY)
