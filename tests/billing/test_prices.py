"""Prices that operators change: versioned, for reservations to come, with their history."""

import asyncio

import pytest
from writer.billing.v1 import prices_pb2

from chassis.errors import EtagMismatch, InvalidFields
from chassis.pages import PageQuery
from services.billing.domain import Operation, Unit
from tests.billing.samples import NO_CALL, OPERATOR, text

WRITING = Operation.CONTENT_GENERATION
sqlite_only = pytest.mark.parametrize("dialect", ["sqlite"])


async def history(billing, operation=WRITING):
    query = PageQuery.of(prices_pb2.ListCostVersionsRequest())
    page = await billing.catalogue.versions(query, operation)
    # Not by time: the first versions came with the migration, by the real clock.
    rows = sorted(page.rows, key=lambda row: -row.version)
    return [(row.version, row.credits, row.unit, row.reason) for row in rows]


async def test_a_price_has_versions_and_its_history_stays(frozen, opened, tasks):
    await opened.reservations.reserve(tasks, [text("before")])
    frozen.forward(hours=1)
    changed = await opened.catalogue.update(OPERATOR, WRITING, "", 3, reason="dearer model")
    assert (changed.version, changed.credits, changed.unit) == (2, 3, Unit.PER_100_WORDS)
    again = await opened.catalogue.update(OPERATOR, WRITING, "", 3, reason="once more")
    assert again == changed
    [after] = await opened.reservations.reserve(tasks, [text("after")])
    assert after.credits_reserved == 30
    settled = await opened.settlement.commit(tasks, "before", 1000, NO_CALL)
    assert (settled.credits_charged, settled.price_version) == (10, 1)
    frozen.forward(hours=1)
    await opened.catalogue.update(OPERATOR, WRITING, "", 1, unit=Unit.PER_200_WORDS)
    [in_force] = [each for each in await opened.catalogue.prices() if each.operation is WRITING]
    assert (in_force.version, in_force.unit) == (3, Unit.PER_200_WORDS)
    assert await history(opened) == [
        (3, 1, "per_200_words", ""),
        (2, 3, "per_100_words", "dearer model"),
        (1, 1, "per_100_words", ""),
    ]


async def test_of_two_who_read_the_same_version_one_changes_it(opened):
    calls = (
        opened.catalogue.update(OPERATOR, WRITING, "", credits_each, etag="1")
        for credits_each in (2, 3, 4, 5)
    )
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, EtagMismatch) for outcome in outcomes) == 3
    assert len(await history(opened)) == 2


@sqlite_only
async def test_the_default_variant_and_its_name_have_one_price(opened):
    changed = await opened.catalogue.update(OPERATOR, Operation.IMAGE_GENERATION, "", 2)
    assert (changed.variant, changed.version) == ("standard", 2)


@sqlite_only
async def test_what_has_no_price_or_another_measure_is_refused(opened):
    with pytest.raises(InvalidFields):
        await opened.catalogue.update(OPERATOR, WRITING, "gold", 2)
    with pytest.raises(InvalidFields):
        await opened.catalogue.update(OPERATOR, WRITING, "", 2, unit=Unit.PER_REQUEST)
    assert len(await history(opened, None)) == 8
