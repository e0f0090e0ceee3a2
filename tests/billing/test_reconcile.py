"""Projections and what proves them: deleted, wrong, found, named and mended; the command."""

import asyncio

import pytest
from sqlalchemy import delete, insert, select, update

from chassis.commands import URL
from chassis.ids import new_id
from services.billing import reconcile, schema
from services.billing.domain import Balance, TransactionType
from services.billing.service import Request, Work
from services.billing.store import grants
from tests.billing.samples import ACCOUNT, CALL, OPERATOR, picture
from tests.billing.samples import text as writing

balances = schema.account_balances
transactions = schema.ledger_transactions


def unguarded(connection):
    """For somebody who may switch triggers off."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("DROP TRIGGER ledger_transactions_seal")
    else:
        connection.exec_driver_sql("ALTER TABLE ledger_transactions DISABLE TRIGGER USER")


async def test_deleting_the_projection_changes_no_answer(opened, tasks):
    await opened.reservations.reserve(tasks, [writing("a"), picture("b", 3)])
    await opened.settlement.commit(tasks, "a", 500, CALL)
    before = await opened.balance(tasks)
    assert before == Balance(100, 92, 3, 5)
    for step in (
        lambda: opened.reservations.reserve(tasks, [picture("c", 92)]),
        lambda: opened.settlement.commit(tasks, "b", 1, CALL),
        lambda: opened.settlement.void(tasks, "c", ""),
        lambda: opened.accounts.open(tasks),
    ):
        await opened.execute(delete(balances))
        assert await opened.drifts() == []
        await step()
    assert await opened.balance(tasks) == Balance(100, 94, 0, 6)
    assert await opened.drifts() == []


async def test_without_the_projection_parallel_calls_still_agree(opened, tasks):
    await opened.execute(delete(balances))
    calls = (opened.reservations.reserve(tasks, [picture(f"{n}", 30)]) for n in range(6))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, list) for outcome in outcomes) == 3
    assert await opened.balance(tasks) == Balance(100, 10, 90, 0)
    assert await opened.drifts() == []


async def test_drift_is_found_named_and_mended(opened, tasks):
    wrong = update(balances).values(available=90, granted=90)
    await opened.execute(wrong)
    [drift] = await opened.drifts()
    assert (drift.account_id, drift.what) == (ACCOUNT, "projected balance")
    assert await opened.reconciliation.rebuild(ACCOUNT) == Balance(100, 100, 0, 0)
    assert await opened.drifts() == []


async def test_drift_of_grants_and_budgets_is_found_named_and_mended(opened, tasks):
    await opened.reservations.reserve(tasks, [writing("a")], work_for=Work("run-1", "", 50))
    await opened.execute(update(schema.grants).values(available=91))
    await opened.execute(update(schema.budgets).values(used=3))
    found = {(drift.what, drift.expected, drift.found) for drift in await opened.drifts()}
    [grant_id] = await opened.database.read(
        lambda connection: connection.scalars(select(schema.grants.c.id)).all()
    )
    assert found == {
        (f"left of grant {grant_id}", "90", "91"),
        ("used of the run budget of run-1", "10", "3"),
    }
    await opened.reconciliation.rebuild(ACCOUNT)
    assert await opened.drifts() == []
    await opened.settlement.void(tasks, "a", "")
    assert await opened.drifts() == []


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_hold_without_its_posting_is_found(opened, tasks):
    await opened.reservations.reserve(tasks, [writing("a")])
    await opened.execute(update(schema.reservations).values(credits_reserved=11))
    [drift] = await opened.drifts()
    assert (drift.what, drift.expected, drift.found) == ("open reservations", "10", "11")


async def test_a_transaction_without_entries_is_found(opened, tasks):
    def work(connection):
        unguarded(connection)
        first = connection.execute(select(transactions)).first()._mapping
        changed = {"id": new_id(), "amount": 50, "transaction_type": "purchase"}
        connection.execute(insert(transactions), [{**first, **changed, "request_key": None}])
        return changed["id"]

    transaction_id = await opened.database.write(work)
    found = {(drift.what, drift.expected, drift.found) for drift in await opened.drifts()}
    assert found == {
        (f"transaction {transaction_id}", "a sum of zero", "another"),
        ("listed transactions", "100", "150"),
    }


async def test_usage_that_says_otherwise_than_one_deduction_is_found(opened, tasks):
    settled = []
    for key in ("a", "b"):
        await opened.reservations.reserve(tasks, [picture(key, 5)])
        settled.append(await opened.settlement.commit(tasks, key, 5, CALL))
    usage = schema.usage_records
    # Together they still say the same.
    for reservation, shown in zip(settled, (6, 4), strict=True):
        wrong = update(usage).where(usage.c.reservation_id == reservation.id)
        await opened.execute(wrong.values(credits=shown))
    found = {(drift.what, drift.expected, drift.found) for drift in await opened.drifts()}
    assert found == {
        (f"usage of reservation {settled[0].id}", "5", "6"),
        (f"usage of reservation {settled[1].id}", "5", "4"),
    }


async def test_rebuilding_reads_the_entries_once_however_many_grants(opened, tasks):
    for number in range(6):
        request = Request(f"{number}", "for the test")
        await opened.grants.create(OPERATOR, request, TransactionType.PURCHASE, 5)
    await opened.execute(update(schema.grants).values(available=1))

    def work(connection):
        explained = []
        execute = connection.execute

        def counting(statement, *values):
            if statement.is_select:
                explained.append(str(statement))
            return execute(statement, *values)

        connection.execute = counting
        grants.GrantStore(connection, tasks).rebuild()
        return explained

    assert len(await opened.database.write(work)) == 1
    assert await opened.drifts() == []


async def test_reconcile_tells_by_its_exit_code(
    opened, tasks, database_url, monkeypatch, capsys, tmp_path
):
    async def run(*arguments):
        # The command runs an event loop of its own.
        code = await asyncio.to_thread(reconcile.main, arguments)
        said = capsys.readouterr()
        return code, said.out + said.err

    monkeypatch.setenv(URL, f"sqlite:///{tmp_path}/nothing.db")
    code, said = await run()
    assert (code, said.count("\n")) == (2, 1), said
    assert "the books cannot be read: WRITER_DATABASE_URL: there is no such file" in said
    monkeypatch.setenv(URL, database_url)
    await opened.reservations.reserve(tasks, [writing("a")])
    assert await run() == (0, "0 drifts\n")
    await opened.execute(update(balances).values(available=80, granted=90))
    code, said = await run("--rebuild")
    assert code == 1
    assert f"{ACCOUNT}: projected balance: expected" in said
    assert "projections derived anew" in said
    assert await run() == (0, "0 drifts\n")
    usage = schema.usage_records
    await opened.settlement.commit(tasks, "a", 100, CALL)
    await opened.execute(update(usage).values(credits=usage.c.credits + 1))
    code, said = await run("--rebuild")
    assert code == 1
    assert "2 drifts are not of projections and stay" in said
    assert "derived anew" not in said
