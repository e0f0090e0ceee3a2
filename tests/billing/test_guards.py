"""What the database itself refuses, whoever asks; and the command that proves the rest."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from chassis import clock
from chassis.caller import Caller
from chassis.ids import new_id
from chassis.sqlite import connect
from services.billing import schema
from services.billing.domain import TransactionType
from services.billing.service import Request
from tests.billing.samples import ACCOUNT, picture

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
    transaction = row(amount=-5)

    def work(connection):
        connection.execute(
            insert(entries), posting(transaction["id"], grant_id, available=-5, source=5)
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
@pytest.mark.parametrize("foreign_keys", [True, False])
async def test_replacing_a_row_is_no_way_round(opened, database_url, foreign_keys):
    request = Request("one", "for the test")
    who = Caller.service("tasks", account_id=ACCOUNT)
    await opened.grants.create(who, request, TransactionType.PURCHASE, 7)
    another = {"id": "'another'", "amount": "0", "credits": "0"}
    engine = connect(database_url, writer=True, foreign_keys=foreign_keys)
    for table, changed in (
        (entries, ["amount"]),
        (transactions, []),
        # Another id: the unique key beside it is met.
        (transactions, ["id"]),
        (schema.prices, ["credits"]),
        (schema.prices, ["id", "credits"]),
    ):
        values = [
            another[column.name] if column.name in changed else column.name
            for column in table.columns
        ]
        replace = (
            f"INSERT OR REPLACE INTO {table.name} ({', '.join(c.name for c in table.columns)})"
            f" SELECT {', '.join(values)} FROM {table.name}"
        )
        if table is transactions:
            replace += " WHERE request_key IS NOT NULL"
        with pytest.raises(DBAPIError, match=r"append-only|sealed"), engine.begin() as connection:
            connection.exec_driver_sql(replace)
    engine.dispose()
    assert await opened.drifts() == []


async def test_nobody_takes_more_of_a_grant_than_is_left(opened, tasks):
    grant_id, _ = await two_grants(opened)
    for taken in (101, 1_000, -1):
        transaction = row(amount=-taken, kind="commit", transaction_type="deduction")
        moved = posting(transaction["id"], grant_id, available=-taken, spent=taken)
        assert await refused(opened, (insert(entries), moved), (insert(transactions), transaction))
    await opened.reservations.reserve(tasks, [picture("a", 30)])
    transaction = row(amount=-71, kind="commit", transaction_type="deduction")
    moved = posting(transaction["id"], grant_id, available=-71, spent=71)
    assert await refused(opened, (insert(entries), moved), (insert(transactions), transaction))


@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_truncating_is_no_way_round(opened):
    truncate = "TRUNCATE ledger_entries, ledger_transactions CASCADE"
    assert await refused(opened, (text(truncate), {}))


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
