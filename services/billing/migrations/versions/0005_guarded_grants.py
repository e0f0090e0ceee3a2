"""The database itself moves what is left of a grant, so that its bounds hold for whoever writes
entries; replacing rows is no way round the guards on SQLite; a revocation keeps who and why; what
is overdue is found page by page."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, chars in (("revoke_reason", 500), ("revoke_principal", 128)):
        op.add_column(
            "grants",
            sa.Column(name, sa.String(chars), nullable=False, server_default=sa.text("''")),
        )
    index_overdue()
    if op.get_bind().dialect.name == "sqlite":
        guard_sqlite()
    else:
        guard_postgresql()


def index_overdue() -> None:
    for table, name, columns, rule in (
        ("reservations", "open_expire_time", ["expire_time", "id"], "state = 'open'"),
        ("grants", "expire_time", ["expire_time", "id"], "available > 0"),
        ("subscriptions", "period_end_time", ["period_end_time", "account_id"], None),
    ):
        index = f"ix_{table}_{name}"
        where = None if rule is None else sa.text(rule)
        op.drop_index(index, table)
        op.create_index(index, table, columns, sqlite_where=where, postgresql_where=where)


def guard_sqlite() -> None:
    # INSERT OR REPLACE deletes without firing the triggers that refuse deletion: every row that
    # it could delete has to be looked for, whichever of its unique keys is met.
    op.execute("DROP TRIGGER ledger_transactions_refuse_replace")
    op.execute(
        """
        CREATE TRIGGER ledger_transactions_refuse_replace BEFORE INSERT ON ledger_transactions
        WHEN EXISTS (SELECT 1 FROM ledger_transactions WHERE id = NEW.id)
            OR EXISTS (
                SELECT 1 FROM ledger_transactions
                WHERE account_id = NEW.account_id AND request_key = NEW.request_key
            )
        BEGIN SELECT RAISE(ABORT, 'ledger_transactions is append-only'); END
        """
    )
    op.execute(
        """
        CREATE TRIGGER prices_refuse_replace BEFORE INSERT ON prices
        WHEN EXISTS (SELECT 1 FROM prices WHERE id = NEW.id)
            OR EXISTS (
                SELECT 1 FROM prices
                WHERE operation = NEW.operation AND variant = NEW.variant
                    AND version = NEW.version
            )
        BEGIN SELECT RAISE(ABORT, 'prices is append-only'); END
        """
    )
    op.execute(
        """
        CREATE TRIGGER ledger_transactions_move_grants AFTER INSERT ON ledger_transactions
        BEGIN
            UPDATE grants SET available = grants.available + moved.amount
            FROM ledger_entries AS moved
            WHERE moved.transaction_id = NEW.id AND moved.ledger_account = 'available'
                AND grants.id = moved.grant_id;
        END
        """
    )


def guard_postgresql() -> None:
    # For all rows of a statement at once: a group writes its transactions in one, and a grant that
    # many of them use is moved once.
    op.execute("DROP TRIGGER ledger_entries_refuse_sealed ON ledger_entries")
    op.execute("DROP TRIGGER ledger_transactions_seal ON ledger_transactions")
    op.execute("DROP FUNCTION refuse_sealed")
    op.execute("DROP FUNCTION seal_transaction")
    # Row by row within: a session plans these statements once, maybe while the tables are still
    # empty, and a plan that joins whole tables would stay when they are not.
    op.execute(
        """
        CREATE FUNCTION refuse_sealed() RETURNS trigger LANGUAGE plpgsql
        SET enable_seqscan = off AS $$
        BEGIN
            PERFORM FROM added CROSS JOIN LATERAL (
                SELECT FROM ledger_transactions WHERE id = added.transaction_id OFFSET 0
            ) AS found;
            IF FOUND THEN
                RAISE EXCEPTION 'the ledger transaction is sealed';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER ledger_entries_refuse_sealed AFTER INSERT ON ledger_entries "
        "REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_sealed()"
    )
    seal_postgresql()


def seal_postgresql() -> None:
    op.execute(
        """
        CREATE FUNCTION seal_transactions() RETURNS trigger LANGUAGE plpgsql
        SET enable_seqscan = off AS $$
        DECLARE
            moved record;
        BEGIN
            PERFORM FROM sealed CROSS JOIN LATERAL (
                SELECT count(*) AS entries, min(account_id) AS first, max(account_id) AS last,
                    sum(CASE WHEN ledger_account IN ('available', 'reserved')
                        THEN amount ELSE 0 END) AS amount
                FROM ledger_entries WHERE transaction_id = sealed.id
            ) AS found
            WHERE found.entries < 2 OR found.amount <> sealed.amount
                OR found.first <> sealed.account_id OR found.last <> sealed.account_id;
            IF FOUND THEN
                RAISE EXCEPTION 'the ledger transaction does not balance';
            END IF;
            PERFORM FROM sealed CROSS JOIN LATERAL (
                SELECT FROM ledger_entries WHERE transaction_id = sealed.id
                GROUP BY grant_id HAVING sum(amount) <> 0 OFFSET 0
            ) AS found;
            IF FOUND THEN
                RAISE EXCEPTION 'the ledger transaction does not balance';
            END IF;
            FOR moved IN
                SELECT found.grant_id, sum(found.amount) AS amount
                FROM sealed CROSS JOIN LATERAL (
                    SELECT grant_id, amount FROM ledger_entries
                    WHERE transaction_id = sealed.id AND ledger_account = 'available' OFFSET 0
                ) AS found
                GROUP BY found.grant_id HAVING sum(found.amount) <> 0
            LOOP
                UPDATE grants SET available = available + moved.amount WHERE id = moved.grant_id;
            END LOOP;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER ledger_transactions_seal AFTER INSERT ON ledger_transactions "
        "REFERENCING NEW TABLE AS sealed FOR EACH STATEMENT EXECUTE FUNCTION seal_transactions()"
    )
