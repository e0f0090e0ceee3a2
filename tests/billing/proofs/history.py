"""A long history of one account, written by the database itself: pairs of reserve and commit, four
entries each, as the service writes them; on SQLite past the same triggers."""

from sqlalchemy import text

PAIRS_PER_TRANSACTION = 25_000
COLUMNS = {
    "site_id": "'site-' || (n % 3)",
    "sector_id": "''",
    "run_id": "'run-' || (n / 10)",
    "request_id": "'request-1'",
}
WHO = {"principal": "'service:tasks'"}
SPELLED = {
    "sqlite": {
        "numbers": "(WITH RECURSIVE s(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM s"
        " WHERE n + 1 < :last) SELECT n FROM s)",
        "id": "printf('%s-%s-%08d', :account, '{}', n)",
        "time": "strftime('%Y-%m-%d %H:%M:%f000', '2026-01-01', '+' || n || ' seconds')",
    },
    "postgresql": {
        "numbers": "generate_series(CAST(:first AS int), CAST(:last AS int) - 1) AS s(n)",
        "id": "format('%s-%s-%s', CAST(:account AS text), '{}', lpad(n::text, 8, '0'))",
        "time": "timestamptz '2026-01-01 00:00:00+00' + n * interval '1 second'",
    },
}


def statements(dialect, grant_id):
    """Inserts in an order that the guards accept: entries before their transactions."""
    spelled = SPELLED[dialect]
    ids = {name: spelled["id"].format(name) for name in ("r", "h", "c", "u")}
    rows = [("reservations", _reservation(ids, spelled["time"]))]
    rows += [("ledger_entries", entry) for entry in _entries(ids, grant_id)]
    rows += [("ledger_transactions", each) for each in _transactions(ids, spelled["time"])]
    rows += [("usage_records", _usage(ids, spelled["time"]))]
    for table, row in rows:
        values = {"account_id": "CAST(:account AS text)", **row}
        yield (
            f"INSERT INTO {table} ({', '.join(values)})"
            f" SELECT {', '.join(values.values())} FROM {spelled['numbers']}"
        )


def _reservation(ids, time):
    return {
        "id": ids["r"],
        **COLUMNS,
        **WHO,
        "api_key_id": "'key-1'",
        "key": ids["r"],
        "state": "'committed'",
        "operation": "'image_generation'",
        "variant": "'standard'",
        "quantity": "1",
        "unit": "'per_image'",
        "unit_credits": "1",
        "price_version": "1",
        "credits_reserved": "1",
        "credits_charged": "1",
        "expire_time": time,
        "create_time": time,
        "settle_time": time,
        "settle_reason": "''",
    }


def _entries(ids, grant_id):
    moves = {"h": ("available", "reserved"), "c": ("reserved", "spent")}
    for name, (source, target) in moves.items():
        for ledger_account, amount in ((source, "-1"), (target, "1")):
            yield {
                "transaction_id": ids[name],
                "ledger_account": f"'{ledger_account}'",
                "grant_id": f"'{grant_id}'",
                "amount": amount,
            }


def _transactions(ids, time):
    for name, kind, transaction_type, amount in (
        ("h", "'reserve'", "NULL", "0"),
        ("c", "'commit'", "'deduction'", "-1"),
    ):
        yield {
            "id": ids[name],
            "kind": kind,
            "transaction_type": transaction_type,
            "amount": amount,
            "description": "'Image generation: 1 image.'",
            "operation": "'image_generation'",
            "reservation_id": ids["r"],
            **COLUMNS,
            **WHO,
            "reason": "''",
            "create_time": time,
        }


def _usage(ids, time):
    return {
        "id": ids["u"],
        **COLUMNS,
        "api_key_id": "'key-1'",
        "operation": "'image_generation'",
        "credits": "1",
        "model": "'model-' || (n % 4)",
        "prompt_tokens": "9",
        "completion_tokens": "9",
        "object_id": "''",
        "reservation_id": ids["r"],
        "transaction_id": ids["c"],
        "create_time": time,
    }


async def write_history(database, account, grant_id, pairs):
    """Writes so many pairs and moves the projections with them."""
    for first in range(0, pairs, PAIRS_PER_TRANSACTION):
        last = min(first + PAIRS_PER_TRANSACTION, pairs)
        bounds = {"account": account, "first": first, "last": last}

        def work(connection, bounds=bounds):
            spent = bounds["last"] - bounds["first"]
            if connection.dialect.name == "postgresql":
                # Without guards: their plans, made while tables are empty, would read them whole
                # for each row. That the books are right is checked afterwards.
                connection.execute(text("SET LOCAL session_replication_role = replica"))
                connection.execute(
                    text("UPDATE grants SET available = available - :n WHERE id = :id"),
                    {"n": spent, "id": grant_id},
                )
            connection.execute(
                text(
                    "UPDATE account_balances SET available = available - :n, spent = spent + :n"
                    " WHERE account_id = :account"
                ),
                {"n": spent, "account": account},
            )
            for sql in statements(connection.dialect.name, grant_id):
                asked = {name: bounds[name] for name in bounds if f":{name}" in sql}
                connection.execute(text(sql), asked)

        await database.write(work)
    await database.write(lambda connection: connection.execute(text("ANALYZE")))
