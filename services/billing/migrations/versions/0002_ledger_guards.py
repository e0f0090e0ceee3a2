"""Guards of the ledger: append-only, each transaction balances, for each grant apart, and is
sealed when it is written."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("ledger_transactions", "ledger_entries", "prices")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        guard_sqlite()
    else:
        guard_postgresql()


def guard_sqlite() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuse_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    # INSERT OR REPLACE deletes without firing the triggers above.
    op.execute(
        """
        CREATE TRIGGER ledger_transactions_refuse_replace BEFORE INSERT ON ledger_transactions
        WHEN EXISTS (SELECT 1 FROM ledger_transactions WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'ledger_transactions is append-only'); END
        """
    )
    op.execute(
        """
        CREATE TRIGGER ledger_entries_refuse_sealed BEFORE INSERT ON ledger_entries
        WHEN EXISTS (SELECT 1 FROM ledger_transactions WHERE id = NEW.transaction_id)
        BEGIN SELECT RAISE(ABORT, 'the ledger transaction is sealed'); END
        """
    )
    op.execute(
        """
        CREATE TRIGGER ledger_transactions_seal AFTER INSERT ON ledger_transactions
        WHEN (
            SELECT count(*) < 2
                OR sum(CASE WHEN ledger_account IN ('available', 'reserved')
                       THEN amount ELSE 0 END) <> NEW.amount
                OR min(account_id) <> NEW.account_id OR max(account_id) <> NEW.account_id
            FROM ledger_entries WHERE transaction_id = NEW.id
        ) OR EXISTS (
            SELECT 1 FROM ledger_entries WHERE transaction_id = NEW.id
            GROUP BY grant_id HAVING sum(amount) <> 0
        )
        BEGIN SELECT RAISE(ABORT, 'the ledger transaction does not balance'); END
        """
    )


def guard_postgresql() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    seal_postgresql()


def seal_postgresql() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT 1 FROM ledger_transactions WHERE id = NEW.transaction_id) THEN
                RAISE EXCEPTION 'the ledger transaction is sealed';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER ledger_entries_refuse_sealed BEFORE INSERT ON ledger_entries "
        "FOR EACH ROW EXECUTE FUNCTION refuse_sealed()"
    )
    op.execute(
        """
        CREATE FUNCTION seal_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF (
                SELECT count(*) < 2
                    OR sum(CASE WHEN ledger_account IN ('available', 'reserved')
                           THEN amount ELSE 0 END) <> NEW.amount
                    OR min(account_id) <> NEW.account_id OR max(account_id) <> NEW.account_id
                FROM ledger_entries WHERE transaction_id = NEW.id
            ) OR EXISTS (
                SELECT 1 FROM ledger_entries WHERE transaction_id = NEW.id
                GROUP BY grant_id HAVING sum(amount) <> 0
            ) THEN
                RAISE EXCEPTION 'the ledger transaction does not balance';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER ledger_transactions_seal AFTER INSERT ON ledger_transactions "
        "FOR EACH ROW EXECUTE FUNCTION seal_transaction()"
    )
