"""What the database itself refuses, whoever asks; and the command that proves the rest."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from chassis import clock
from chassis.caller import Caller
from chassis.ids import new_id
from services.billing import reconcile, schema
from services.billing.domain import Balance, TransactionType
from services.billing.service import Request, Work
from tests.billing.samples import ACCOUNT, CALL, picture
from tests.billing.samples import text as writing

entries = schema.ledger_entries
transactions = schema.ledger_transactions
balances = schema.account_balances


def row(**changes):
    return {
        "id": new_id(),
        "account_id": ACCOUNT,
        "kind": "grant",
        "transaction_type": "adjustment",
        "amount": 5,
        "description": "",
        "site_id": "",
        "sector_id": "",
        "run_id": "",
        "request_id": "",
        "principal": "",
        "reason": "",
        "create_time": clock.now(),
    } | changes


async def two_grants(billing):
    """The grant of the plan, and another."""
    who = Caller.service("tasks", account_id=ACCOUNT)
    request = Request("another", "for the test")
    await billing.grants.create(who, request, TransactionType.PURCHASE, 7)
    return await billing.database.read(
        lambda connection: connection.scalars(
            select(schema.grants.c.id).order_by(schema.grants.c.credits.desc())
        ).all()
    )


def posting(transaction_id, grant_id, **amounts):
    return [
        {
            "transaction_id": transaction_id,
            "ledger_account": name,
            "grant_id": grant_id,
            "account_id": ACCOUNT,
            "amount": amount,
        }
        for name, amount in amounts.items()
    ]


async def refused(billing, *statements):
    """True when the database refuses the statements, together, and keeps nothing of them."""

    def work(connection):
        for statement, rows in statements:
            connection.execute(statement, rows)

    before = await billing.count(entries), await billing.count(transactions)
    with pytest.raises(DBAPIError):
        await billing.database.write(work)
    return (await billing.count(entries), await billing.count(transactions)) == before


async def test_what_is_written_cannot_be_tampered_with(opened):
    for statement in (
        update(entries).values(amount=entries.c.amount + 1),
        delete(entries),
        update(transactions).values(amount=1_000_000),
        delete(transactions),
        update(schema.prices).values(credits=0),
        delete(schema.prices),
        update(balances).values(available=-1, granted=-1),
        update(balances).values(available=balances.c.available + 1),
        update(balances).values(reserved=-1, available=101),
        update(schema.grants).values(available=-1),
        update(schema.grants).values(available=101),
    ):
        assert await refused(opened, (statement, {})), str(statement)
    assert await opened.drifts() == []


async def test_a_transaction_that_does_not_balance_is_refused(opened):
    grant_id, other_id = await two_grants(opened)
    for amounts, change in (
        ({"available": 5}, {}),
        ({"available": 5, "source": -4}, {}),
        ({"available": 5, "source": -5}, {"amount": 6}),
        ({"available": 5, "source": -5}, {"account_id": "other"}),
        ({"available": 5, "source": -5, "spent": 0}, {}),
        ({}, {"amount": 0, "transaction_type": None}),
        ({"available": 5, "source": -5}, {"transaction_type": None}),
    ):
        transaction = row(**change)
        steps = [(insert(transactions), transaction)]
        if amounts:
            steps.insert(0, (insert(entries), posting(transaction["id"], grant_id, **amounts)))
        assert await refused(opened, *steps), (amounts, change)
    transaction = row()
    crossed = posting(transaction["id"], grant_id, available=5)
    crossed += posting(transaction["id"], other_id, source=-5)
    assert await refused(opened, (insert(entries), crossed), (insert(transactions), transaction))


async def test_a_balanced_transaction_is_accepted_and_then_sealed(opened):
    grant_id, _ = await two_grants(opened)
    transaction = row()

    def work(connection):
        connection.execute(
            insert(entries), posting(transaction["id"], grant_id, available=5, source=-5)
        )
        connection.execute(insert(transactions), transaction)

    await opened.database.write(work)
    late = posting(transaction["id"], grant_id, spent=5, reserved=-5)
    assert await refused(opened, (insert(entries), late))


async def test_entries_without_a_transaction_or_a_grant_are_refused(opened):
    grant_id, _ = await two_grants(opened)
    amounts = {"available": 5, "source": -5}
    assert await refused(opened, (insert(entries), posting(new_id(), grant_id, **amounts)))
    transaction = row()
    without = posting(transaction["id"], new_id(), **amounts)
    assert await refused(opened, (insert(entries), without), (insert(transactions), transaction))


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_replacing_a_row_is_no_way_round(opened):
    for table in ("ledger_entries", "ledger_transactions"):
        replace = f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"
        assert await refused(opened, (text(replace), {}))


@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_truncating_is_no_way_round(opened):
    truncate = "TRUNCATE ledger_entries, ledger_transactions CASCADE"
    assert await refused(opened, (text(truncate), {}))


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


async def test_reconcile_tells_by_its_exit_code(
    opened, tasks, database_url, monkeypatch, capsys, tmp_path
):
    async def run(*arguments):
        # The command runs an event loop of its own.
        code = await asyncio.to_thread(reconcile.main, arguments)
        said = capsys.readouterr()
        return code, said.out + said.err

    monkeypatch.delenv(reconcile.URL, raising=False)
    assert await run() == (2, "WRITER_DATABASE_URL is not set\n")
    monkeypatch.setenv(reconcile.URL, f"sqlite:///{tmp_path}/nothing.db")
    assert (await run())[0] == 2
    monkeypatch.setenv(reconcile.URL, database_url)
    await opened.reservations.reserve(tasks, [writing("a")])
    assert await run() == (0, "0 drifts\n")
    await opened.execute(update(balances).values(available=80, granted=90))
    code, said = await run("--rebuild")
    assert code == 1
    assert f"{ACCOUNT}: projected balance: expected" in said
    assert await run() == (0, "0 drifts\n")


async def test_the_migrations_make_the_schema(opened):
    def work(connection):
        found = compare_metadata(MigrationContext.configure(connection), schema.metadata)
        return [step for step in found if "alembic_version" not in str(step)]

    assert await opened.database.read(work) == []


async def test_lists_and_sweeps_use_their_indexes(opened, dialect):
    listed = select(transactions.c.id).where(
        transactions.c.account_id == ACCOUNT, transactions.c.amount != text("0")
    )
    listed = listed.order_by(transactions.c.create_time.desc(), transactions.c.id.desc()).limit(20)
    sql = str(listed.compile(compile_kwargs={"literal_binds": True}))
    explain = "EXPLAIN QUERY PLAN " if dialect == "sqlite" else "EXPLAIN "

    def work(connection):
        if dialect == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        return str(connection.execute(text(explain + sql)).all())

    assert "ix_ledger_transactions_listed" in await opened.database.read(work)
