"""Billing's tables, the plans and the first prices."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from chassis import clock, ids
from chassis.columns import UtcDateTime
from chassis.plumbing import create_plumbing

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PLANS = {"free": 100, "starter": 1000, "growth": 2000, "scale": 4000, "enterprise": 10000}
PRICES = (
    ("content_generation", "", "per_100_words", 1),
    ("image_prompt_extraction", "", "per_request", 2),
    ("image_generation", "standard", "per_image", 1),
    ("image_generation", "premium", "per_image", 4),
    ("clustering", "", "per_request", 1),
    ("idea_generation", "", "per_request", 2),
    ("linking", "", "per_request", 1),
    ("optimization", "", "per_request", 1),
)
DEFERRED: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}


def upgrade() -> None:
    create_plumbing(op)
    create_catalogue()
    create_accounts()
    create_reservations()
    create_ledger()
    create_grants()
    create_entries()
    create_usage()
    seed()


def text_column(name: str, chars: int = 64, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(chars), nullable=null)


def ids_of(*names: str) -> list[sa.Column[Any]]:
    return [text_column(f"{name}_id") for name in names]


def number(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=null, autoincrement=False)


def time(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, UtcDateTime, nullable=null)


def check(name: str, table: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def foreign(table: str, column: str, target: str, **options: Any) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [target], name=name, **options)


def create_catalogue() -> None:
    op.create_table(
        "plans",
        text_column("name", 32),
        number("credits"),
        time("create_time"),
        primary("plans", "name"),
        check("credits", "plans", "credits >= 0"),
    )
    op.create_table(
        "prices",
        text_column("id", 36),
        text_column("operation", 32),
        text_column("variant", 32),
        number("version"),
        text_column("unit", 16),
        number("credits"),
        text_column("reason", 500),
        text_column("principal", 128),
        time("create_time"),
        primary("prices", "operation", "variant", "version"),
        sa.UniqueConstraint("id", name="uq_prices_id"),
        check("credits", "prices", "credits BETWEEN 0 AND 1000"),
        check("version", "prices", "version >= 1"),
    )


def create_accounts() -> None:
    op.create_table(
        "subscriptions",
        text_column("account_id"),
        text_column("plan", 32),
        text_column("next_plan", 32, null=True),
        time("anchor_time"),
        number("period"),
        number("period_credits"),
        number("low_percent", null=True),
        time("period_end_time"),
        time("create_time"),
        primary("subscriptions", "account_id"),
        foreign("subscriptions", "plan", "plans.name"),
        foreign("subscriptions", "next_plan", "plans.name"),
    )
    op.create_index("ix_subscriptions_period_end_time", "subscriptions", ["period_end_time"])
    op.create_table(
        "account_balances",
        text_column("account_id"),
        number("granted"),
        number("available"),
        number("reserved"),
        number("spent"),
        number("low_at"),
        primary("account_balances", "account_id"),
        check("available", "account_balances", "available >= 0"),
        check("reserved", "account_balances", "reserved >= 0"),
        check("spent", "account_balances", "spent >= 0"),
        check("sum", "account_balances", "granted = available + reserved + spent"),
    )


def create_reservations() -> None:
    op.create_table(
        "reservations",
        text_column("id", 36),
        *ids_of("account", "site", "sector", "run", "api_key", "request"),
        text_column("principal", 128),
        text_column("key", 128),
        text_column("state", 16),
        text_column("operation", 32),
        text_column("variant", 32),
        number("quantity"),
        text_column("unit", 16),
        number("unit_credits"),
        number("price_version"),
        number("credits_reserved"),
        number("credits_charged"),
        time("expire_time"),
        time("create_time"),
        time("settle_time", null=True),
        text_column("settle_reason", 200),
        primary("reservations", "id"),
        sa.UniqueConstraint("account_id", "key", name="uq_reservations_account_id_key"),
        check("charged", "reservations", "credits_charged BETWEEN 0 AND credits_reserved"),
        check("settled", "reservations", "(state = 'open') = (settle_time IS NULL)"),
        check("uncharged", "reservations", "state = 'committed' OR credits_charged = 0"),
    )
    partial_index(
        "ix_reservations_open_expire_time", "reservations", ["expire_time"], "state = 'open'"
    )
    for name, *more in (("run_id", "create_time", "id"), ("create_time",)):
        columns = ["account_id", name, *more]
        op.create_index(f"ix_reservations_account_id_{name}", "reservations", columns)


def create_ledger() -> None:
    op.create_table(
        "ledger_transactions",
        text_column("id", 36),
        text_column("account_id"),
        text_column("kind", 16),
        text_column("transaction_type", 16, null=True),
        number("amount"),
        text_column("description", 500),
        text_column("operation", 32, null=True),
        text_column("reservation_id", 36, null=True),
        text_column("corrected_transaction_id", 36, null=True),
        *ids_of("site", "sector", "run", "request"),
        text_column("principal", 128),
        text_column("reason", 500),
        text_column("request_key", 128, null=True),
        text_column("request_hash", 64, null=True),
        time("create_time"),
        primary("ledger_transactions", "id"),
        sa.UniqueConstraint(
            "account_id", "request_key", name="uq_ledger_transactions_account_id_request_key"
        ),
        foreign("ledger_transactions", "reservation_id", "reservations.id"),
        foreign("ledger_transactions", "corrected_transaction_id", "ledger_transactions.id"),
        check("typed", "ledger_transactions", "amount = 0 OR transaction_type IS NOT NULL"),
    )
    for leading in ((), ("transaction_type",), ("site_id",)):
        partial_index(
            "_".join(("ix_ledger_transactions_listed", *leading)),
            "ledger_transactions",
            ["account_id", *leading, "create_time", "id"],
            "amount <> 0",
        )
    op.create_index(
        "ix_ledger_transactions_reservation_id", "ledger_transactions", ["reservation_id"]
    )
    partial_index(
        "ix_ledger_transactions_corrected_transaction_id",
        "ledger_transactions",
        ["corrected_transaction_id"],
        "corrected_transaction_id IS NOT NULL",
    )


def create_grants() -> None:
    op.create_table(
        "grants",
        text_column("id", 36),
        text_column("account_id"),
        text_column("key", 128),
        text_column("transaction_id", 36),
        text_column("transaction_type", 16),
        number("credits"),
        number("available"),
        number("priority"),
        time("expire_time", null=True),
        time("revoke_time", null=True),
        text_column("reason", 500),
        text_column("principal", 128),
        time("create_time"),
        primary("grants", "id"),
        foreign("grants", "transaction_id", "ledger_transactions.id", **DEFERRED),
        sa.UniqueConstraint("account_id", "key", name="uq_grants_account_id_key"),
        check("credits", "grants", "credits > 0"),
        check("available", "grants", "available BETWEEN 0 AND credits"),
    )
    op.create_index("ix_grants_listed", "grants", ["account_id", "create_time", "id"])
    partial_index("ix_grants_left", "grants", ["account_id", "priority"], "available > 0")
    partial_index("ix_grants_expire_time", "grants", ["expire_time"], "available > 0")


def create_entries() -> None:
    op.create_table(
        "ledger_entries",
        text_column("transaction_id", 36),
        text_column("ledger_account", 16),
        text_column("grant_id", 36),
        text_column("account_id"),
        number("amount"),
        primary("ledger_entries", "transaction_id", "ledger_account", "grant_id"),
        foreign("ledger_entries", "transaction_id", "ledger_transactions.id", **DEFERRED),
        foreign("ledger_entries", "grant_id", "grants.id"),
        check("amount", "ledger_entries", "amount <> 0"),
    )
    op.create_index("ix_ledger_entries_account_id", "ledger_entries", ["account_id"])


def create_usage() -> None:
    op.create_table(
        "usage_records",
        text_column("id", 36),
        *ids_of("account", "site", "sector", "run", "api_key", "request"),
        text_column("operation", 32),
        number("credits"),
        text_column("model", 128),
        number("prompt_tokens"),
        number("completion_tokens"),
        number("provider_cost_micro_usd", null=True),
        text_column("object_id", 128),
        text_column("reservation_id", 36),
        text_column("transaction_id", 36, null=True),
        time("create_time"),
        primary("usage_records", "id"),
        foreign("usage_records", "reservation_id", "reservations.id"),
        foreign("usage_records", "transaction_id", "ledger_transactions.id"),
        sa.UniqueConstraint("reservation_id", name="uq_usage_records_reservation_id"),
        check("credits", "usage_records", "credits >= 0"),
    )
    for leading in ((), ("site_id",), ("run_id",), ("api_key_id",), ("operation",), ("model",)):
        op.create_index(
            "_".join(("ix_usage_records_listed", *leading)),
            "usage_records",
            ["account_id", *leading, "create_time", "id"],
        )


def partial_index(name: str, table: str, columns: list[str], rule: str) -> None:
    where = sa.text(rule)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def seed() -> None:
    now = clock.now()
    columns: list[Any] = [sa.column("name"), sa.column("credits")]
    plans = sa.table("plans", *columns, sa.column("create_time", UtcDateTime))
    rows = [{"name": name, "credits": n, "create_time": now} for name, n in PLANS.items()]
    op.bulk_insert(plans, rows)
    names = ("operation", "variant", "unit", "credits")
    first = {"version": 1, "reason": "", "principal": "", "create_time": now}
    columns = [sa.column(name) for name in (*names, "id", *list(first)[:-1])]
    columns.append(sa.column("create_time", UtcDateTime))
    op.bulk_insert(
        sa.table("prices", *columns),
        [dict(zip(names, row, strict=True), id=ids.new_id(), **first) for row in PRICES],
    )
