"""Billing's tables. Their guards (triggers) are in the migration; see docs/ledger.md.

`account_balances` is a projection of `ledger_entries`: deleting it changes no answer.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    text,
)

from chassis.columns import UtcDateTime
from chassis.plumbing import new_metadata
from services.billing.domain import ID_CHARS, KEY_CHARS, MODEL_CHARS, REASON_CHARS

metadata = new_metadata()

plans = Table(
    "plans",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("credits", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    CheckConstraint("credits >= 0", name="credits"),
)

prices = Table(
    "prices",
    metadata,
    Column("operation", String(32), primary_key=True),
    Column("variant", String(32), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("unit", String(16), nullable=False),
    Column("credits", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    CheckConstraint("credits BETWEEN 0 AND 1000", name="credits"),
    CheckConstraint("version >= 1", name="version"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("account_id", String(ID_CHARS), primary_key=True),
    Column("plan", String(32), ForeignKey("plans.name"), nullable=False),
    Column("anchor_time", UtcDateTime, nullable=False),
    Column("period", Integer, nullable=False),
    # For whoever renews; follows from anchor and period.
    Column("period_end_time", UtcDateTime, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Index("ix_subscriptions_period_end_time", "period_end_time"),
)

account_balances = Table(
    "account_balances",
    metadata,
    Column("account_id", String(ID_CHARS), primary_key=True),
    Column("granted", Integer, nullable=False),
    Column("available", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("spent", Integer, nullable=False),
    CheckConstraint("available >= 0", name="available"),
    CheckConstraint("reserved >= 0", name="reserved"),
    CheckConstraint("spent >= 0", name="spent"),
    CheckConstraint("granted = available + reserved + spent", name="sum"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(ID_CHARS), nullable=False),
    Column("site_id", String(ID_CHARS), nullable=False),
    Column("sector_id", String(ID_CHARS), nullable=False),
    Column("run_id", String(ID_CHARS), nullable=False),
    Column("request_id", String(ID_CHARS), nullable=False),
    Column("principal", String(128), nullable=False),
    Column("key", String(KEY_CHARS), nullable=False),
    Column("state", String(16), nullable=False),
    Column("operation", String(32), nullable=False),
    Column("variant", String(32), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit", String(16), nullable=False),
    Column("unit_credits", Integer, nullable=False),
    Column("price_version", Integer, nullable=False),
    Column("credits_reserved", Integer, nullable=False),
    Column("credits_charged", Integer, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("settle_time", UtcDateTime, nullable=True),
    Column("settle_reason", String(REASON_CHARS), nullable=False),
    # For ever: a key pays for one thing once, however late it is repeated.
    UniqueConstraint("account_id", "key", name="uq_reservations_account_id_key"),
    CheckConstraint("credits_charged BETWEEN 0 AND credits_reserved", name="charged"),
    CheckConstraint("(state = 'open') = (settle_time IS NULL)", name="settled"),
    CheckConstraint("state = 'committed' OR credits_charged = 0", name="uncharged"),
)
Index(
    "ix_reservations_open_expire_time",
    reservations.c.expire_time,
    sqlite_where=text("state = 'open'"),
    postgresql_where=text("state = 'open'"),
)
Index("ix_reservations_account_id_run_id", reservations.c.account_id, reservations.c.run_id)

ledger_transactions = Table(
    "ledger_transactions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(ID_CHARS), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("transaction_type", String(16), nullable=True),
    # Effect on available and reserved together; the database compares it with the entries.
    Column("amount", Integer, nullable=False),
    Column("description", String(500), nullable=False),
    Column("operation", String(32), nullable=True),
    Column("reservation_id", String(36), ForeignKey("reservations.id"), nullable=True),
    Column(
        "corrected_transaction_id",
        String(36),
        ForeignKey("ledger_transactions.id"),
        nullable=True,
    ),
    Column("site_id", String(ID_CHARS), nullable=False),
    Column("sector_id", String(ID_CHARS), nullable=False),
    Column("run_id", String(ID_CHARS), nullable=False),
    Column("request_id", String(ID_CHARS), nullable=False),
    Column("principal", String(128), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    CheckConstraint("amount = 0 OR transaction_type IS NOT NULL", name="typed"),
)
Index(
    "ix_ledger_transactions_listed",
    ledger_transactions.c.account_id,
    ledger_transactions.c.create_time,
    ledger_transactions.c.id,
    sqlite_where=text("amount <> 0"),
    postgresql_where=text("amount <> 0"),
)
Index("ix_ledger_transactions_reservation_id", ledger_transactions.c.reservation_id)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    # Entries go first and their transaction seals them, hence deferred.
    Column(
        "transaction_id",
        String(36),
        ForeignKey("ledger_transactions.id", deferrable=True, initially="DEFERRED"),
        primary_key=True,
    ),
    Column("ledger_account", String(16), primary_key=True),
    Column("account_id", String(ID_CHARS), nullable=False),
    Column("amount", Integer, nullable=False),
    CheckConstraint("amount <> 0", name="amount"),
    Index("ix_ledger_entries_account_id", "account_id"),
)

grants = Table(
    "grants",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(ID_CHARS), nullable=False),
    # What the credits were granted for, such as `plan/<start of the period>`.
    Column("key", String(KEY_CHARS), nullable=False),
    Column("transaction_id", String(36), ForeignKey("ledger_transactions.id"), nullable=False),
    Column("credits", Integer, nullable=False),
    # Burn order: priority, soonest expiry, oldest.
    Column("priority", Integer, nullable=False),
    Column("expire_time", UtcDateTime, nullable=True),
    Column("create_time", UtcDateTime, nullable=False),
    UniqueConstraint("account_id", "key", name="uq_grants_account_id_key"),
    CheckConstraint("credits > 0", name="credits"),
)

usage_records = Table(
    "usage_records",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(ID_CHARS), nullable=False),
    Column("site_id", String(ID_CHARS), nullable=False),
    Column("sector_id", String(ID_CHARS), nullable=False),
    Column("run_id", String(ID_CHARS), nullable=False),
    Column("request_id", String(ID_CHARS), nullable=False),
    Column("operation", String(32), nullable=False),
    Column("credits", Integer, nullable=False),
    Column("model", String(MODEL_CHARS), nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("provider_cost_micro_usd", Integer, nullable=True),
    Column("object_id", String(KEY_CHARS), nullable=False),
    Column("reservation_id", String(36), ForeignKey("reservations.id"), nullable=False),
    # Null when nothing was charged.
    Column("transaction_id", String(36), ForeignKey("ledger_transactions.id"), nullable=True),
    Column("create_time", UtcDateTime, nullable=False),
    UniqueConstraint("reservation_id", name="uq_usage_records_reservation_id"),
    CheckConstraint("credits >= 0", name="credits"),
)
Index(
    "ix_usage_records_listed",
    usage_records.c.account_id,
    usage_records.c.create_time,
    usage_records.c.id,
)
Index("ix_usage_records_account_id_run_id", usage_records.c.account_id, usage_records.c.run_id)
