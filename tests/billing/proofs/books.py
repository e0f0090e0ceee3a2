"""What must hold of one account's books after every step, read in SQL that the service does not
share, and what must hold of how they change."""

from sqlalchemy import text

from services.billing.domain import ReservationState
from services.billing.service.reconciliation import _compare
from services.billing.store import Audit

ENTRIES = "FROM ledger_entries e WHERE e.account_id = :account"
# Each finds rows that must not be there.
WRONG = {
    "a transaction does not sum to zero": f"""
        SELECT e.transaction_id, sum(e.amount) {ENTRIES}
        GROUP BY e.transaction_id HAVING sum(e.amount) <> 0""",
    "credits moved from one grant to another": f"""
        SELECT e.transaction_id, e.grant_id, sum(e.amount) {ENTRIES}
        GROUP BY e.transaction_id, e.grant_id HAVING sum(e.amount) <> 0""",
    "a ledger account of a grant is negative, or its source positive": f"""
        SELECT e.grant_id, e.ledger_account, sum(e.amount) {ENTRIES}
        GROUP BY e.grant_id, e.ledger_account
        HAVING sum(CASE WHEN e.ledger_account = 'source' THEN -e.amount ELSE e.amount END) < 0""",
    "what is left of a grant is not what its entries say": """
        SELECT g.id, g.available FROM grants g WHERE g.account_id = :account
        AND (g.available < 0 OR g.available <> (
            SELECT coalesce(sum(e.amount), 0) FROM ledger_entries e
            WHERE e.grant_id = g.id AND e.ledger_account = 'available'))""",
    "a key was settled more than once, or settled and open": """
        SELECT r.key, r.state, count(t.id) FROM reservations r
        JOIN ledger_transactions t ON t.reservation_id = r.id AND t.kind <> 'reserve'
        WHERE r.account_id = :account GROUP BY r.id, r.key, r.state
        HAVING count(t.id) > 1 OR r.state = 'open'""",
    "a key was held more than once": """
        SELECT r.key, count(t.id) FROM reservations r
        JOIN ledger_transactions t ON t.reservation_id = r.id AND t.kind = 'reserve'
        WHERE r.account_id = :account GROUP BY r.id, r.key HAVING count(t.id) > 1""",
    "a settled key that cost something has no end in the ledger": """
        SELECT r.key, r.state FROM reservations r
        WHERE r.account_id = :account AND r.state <> 'open' AND r.credits_reserved > 0
        AND NOT EXISTS (SELECT 1 FROM ledger_transactions t
                        WHERE t.reservation_id = r.id AND t.kind <> 'reserve')""",
    "a charge and its usage differ": """
        SELECT r.key, r.credits_charged, u.credits, t.amount FROM reservations r
        LEFT JOIN usage_records u ON u.reservation_id = r.id
        LEFT JOIN ledger_transactions t ON t.id = u.transaction_id
        WHERE r.account_id = :account AND (
            r.credits_charged <> coalesce(u.credits, 0)
            OR r.credits_charged <> -coalesce(t.amount, 0)
            OR (r.state = 'committed' AND u.id IS NULL))""",
    "a deduction has no usage": """
        SELECT t.id, t.amount FROM ledger_transactions t
        WHERE t.account_id = :account AND t.transaction_type = 'deduction' AND t.amount <> 0
        AND NOT EXISTS (SELECT 1 FROM usage_records u
                        WHERE u.transaction_id = t.id AND u.credits = -t.amount)""",
    "more was refunded than charged": """
        SELECT d.id, d.amount, sum(t.amount) FROM ledger_transactions d
        JOIN ledger_transactions t ON t.corrected_transaction_id = d.id AND t.kind = 'refund'
        WHERE d.account_id = :account
        GROUP BY d.id, d.amount HAVING d.amount + sum(t.amount) > 0""",
    "a request took effect twice": """
        SELECT t.request_key, count(*) FROM ledger_transactions t
        WHERE t.account_id = :account AND t.request_key IS NOT NULL
        GROUP BY t.request_key HAVING count(*) > 1""",
    "a period was granted more than any plan has": """
        SELECT g.expire_time, sum(g.credits) FROM grants g
        WHERE g.account_id = :account AND g.transaction_type = 'subscription'
        GROUP BY g.expire_time HAVING sum(g.credits) > 2000""",
}
SUMS = f"""
    SELECT
        coalesce(sum(CASE WHEN e.ledger_account IN ('source', 'expired')
                     THEN -e.amount ELSE 0 END), 0),
        coalesce(sum(CASE WHEN e.ledger_account = 'available' THEN e.amount ELSE 0 END), 0),
        coalesce(sum(CASE WHEN e.ledger_account = 'reserved' THEN e.amount ELSE 0 END), 0),
        coalesce(sum(CASE WHEN e.ledger_account = 'spent' THEN e.amount ELSE 0 END), 0)
    {ENTRIES}"""
BALANCE = """
    SELECT granted, available, reserved, spent FROM account_balances WHERE account_id = :account"""
BUDGETS = """
    SELECT id, scope, scope_id, month, used FROM budgets WHERE account_id = :account"""
USED = {
    scope: f"""
        SELECT coalesce(sum(CASE WHEN state = 'open' THEN credits_reserved
                            ELSE credits_charged END), 0)
        FROM reservations WHERE account_id = :account AND {column} = :scope_id
        AND (:month = '' OR {{month}} = :month)"""
    for scope, column in (("site", "site_id"), ("api_key", "api_key_id"), ("run", "run_id"))
}
MONTH = {
    "sqlite": "substr(create_time, 1, 7)",
    "postgresql": "to_char(create_time AT TIME ZONE 'UTC', 'YYYY-MM')",
}
STATES = "SELECT key, id, state, credits_reserved, credits_charged FROM reservations"


def faults(connection, account):
    """Everything that is wrong with the books of one account, in words."""
    run = lambda sql, **more: connection.execute(text(sql), {"account": account, **more}).all()  # noqa: E731
    found = [f"{what}: {rows}" for what, sql in WRONG.items() if (rows := run(sql))]
    [derived] = run(SUMS)
    projected = run(BALANCE)
    derived = tuple(int(amount) for amount in derived)
    if projected and tuple(projected[0]) != derived:
        found.append(f"the balance is {projected[0]}, the entries say {derived}")
    if min(derived) < 0 or derived[0] != sum(derived[1:]):
        found.append(f"the balance is out of bounds: {derived}")
    for budget in run(BUDGETS):
        sql = USED[budget.scope].format(month=MONTH[connection.dialect.name])
        [[used]] = run(sql, scope_id=budget.scope_id, month=budget.month)
        if used != budget.used:
            found.append(f"{used} are used of a budget that says {budget}")
    # Accounts are named so that the last one sorts last: the others are not looked at again.
    _, drifts = _compare(Audit(connection), account[:-1])
    return found + [str(drift) for drift in drifts if drift.account_id == account]


class History:
    """What callers were told may not change any more."""

    def __init__(self):
        self._known = {}

    def check(self, connection, account):
        """Compares keys with how they were seen before."""
        rows = connection.execute(text(f"{STATES} WHERE account_id = :a"), {"a": account})
        now = {row.key: row for row in rows}
        for key, before in self._known.items():
            row = now.get(key)
            assert row is not None, f"{key} is gone"
            assert (row.id, row.credits_reserved) == (before.id, before.credits_reserved)
            if before.state != ReservationState.OPEN:
                assert row == before, f"{key} was settled again"
        self._known = now


def check(connection, account):
    """Fails with everything that is wrong."""
    found = faults(connection, account)
    assert not found, "\n".join(found)
