"""Billing's tables. Their guards (triggers) are in the migration; see docs/ledger.md.

Projections, each derived from other rows: `account_balances` and `grants.available` from
`ledger_entries`, `budgets.used` from `reservations`.
"""

from __future__ import annotations

from typing import Any

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
from services.billing.domain import (
    ACTOR_CHARS,
    ID_CHARS,
    KEY_CHARS,
    MODEL_CHARS,
    REASON_CHARS,
    SETTLE_REASON_CHARS,
)

metadata = new_metadata()


def _partial_index(name: str, rule: str, *columns: Column[Any]) -> None:
    """Queries must spell the rule in the same words, with literals, to be served by it."""
    Index(name, *columns, sqlite_where=text(rule), postgresql_where=text(rule))


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
    Column("id", String(36), nullable=False),
    Column("operation", String(32), primary_key=True),
    Column("variant", String(32), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("unit", String(16), nullable=False),
    Column("credits", Integer, nullable=False),
    Column("reason", String(REASON_CHARS), nullable=False),
    Column("principal", String(ACTOR_CHARS), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    UniqueConstraint("id", name="uq_prices_id"),
    CheckConstraint("credits BETWEEN 0 AND 1000", name="credits"),
    CheckConstraint("version >= 1", name="version"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("account_id", String(ID_CHARS), primary_key=True),
    Column("plan", String(32), ForeignKey("plans.name"), nullable=False),
    # The plan from the next period on, where it is another.
    Column("next_plan", String(32), ForeignKey("plans.name"), nullable=True),
    Column("anchor_time", UtcDateTime, nullable=False),
    Column("period", Integer, nullable=False),
    # Granted for the current period so far; more than the plan's after a change for a larger one.
    Column("period_credits", Integer, nullable=False),
    # Lowest threshold in percent that was told in the current period.
    Column("low_percent", Integer, nullable=True),
    # For whoever renews; follows from anchor and period.
    Column("period_end_time", UtcDateTime, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Index("ix_subscriptions_period_end_time", "period_end_time", "account_id"),
)

account_balances = Table(
    "account_balances",
    metadata,
    Column("account_id", String(ID_CHARS), primary_key=True),
    Column("granted", Integer, nullable=False),
    Column("available", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("spent", Integer, nullable=False),
    # When available falls to this, thresholds have to be looked at; only ever too high.
    Column("low_at", Integer, nullable=False),
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
    Column("api_key_id", String(ID_CHARS), nullable=False),
    Column("request_id", String(ID_CHARS), nullable=False),
    Column("principal", String(ACTOR_CHARS), nullable=False),
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
    Column("settle_reason", String(SETTLE_REASON_CHARS), nullable=False),
    # For ever: a key pays for one thing once, however late it is repeated.
    UniqueConstraint("account_id", "key", name="uq_reservations_account_id_key"),
    CheckConstraint("credits_charged BETWEEN 0 AND credits_reserved", name="charged"),
    CheckConstraint("(state = 'open') = (settle_time IS NULL)", name="settled"),
    CheckConstraint("state = 'committed' OR credits_charged = 0", name="uncharged"),
)
_columns = (reservations.c.expire_time, reservations.c.id)
_partial_index("ix_reservations_open_expire_time", "state = 'open'", *_columns)
# The oldest of a run, and all of it.
Index(
    "ix_reservations_account_id_run_id",
    *(reservations.c[name] for name in ("account_id", "run_id", "create_time", "id")),
)
# For what was used before a budget was set.
_columns = (reservations.c.account_id, reservations.c.create_time)
Index("ix_reservations_account_id_create_time", *_columns)

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
    Column("principal", String(ACTOR_CHARS), nullable=False),
    Column("reason", String(REASON_CHARS), nullable=False),
    # What makes an operator's call take effect once, for ever; and a hash of what it asked for.
    Column("request_key", String(KEY_CHARS), nullable=True),
    Column("request_hash", String(64), nullable=True),
    Column("create_time", UtcDateTime, nullable=False),
    UniqueConstraint(
        "account_id", "request_key", name="uq_ledger_transactions_account_id_request_key"
    ),
    CheckConstraint("amount = 0 OR transaction_type IS NOT NULL", name="typed"),
)
# One for each filter, because a list must not look at what it leaves out.
for _leading in ((), ("transaction_type",), ("site_id",)):
    _partial_index(
        "_".join(("ix_ledger_transactions_listed", *_leading)),
        "amount <> 0",
        ledger_transactions.c.account_id,
        *(ledger_transactions.c[name] for name in (*_leading, "create_time", "id")),
    )
Index("ix_ledger_transactions_reservation_id", ledger_transactions.c.reservation_id)
_partial_index(
    "ix_ledger_transactions_corrected_transaction_id",
    "corrected_transaction_id IS NOT NULL",
    ledger_transactions.c.corrected_transaction_id,
)

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
    # Whose credits they are: nothing ever moves from one grant to another.
    Column("grant_id", String(36), ForeignKey("grants.id"), primary_key=True),
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
    # What the credits were granted for, such as `plan/<start of the period>/<credits so far>`.
    Column("key", String(KEY_CHARS), nullable=False),
    # Comes after the grant and its entries, hence deferred.
    Column(
        "transaction_id",
        String(36),
        ForeignKey("ledger_transactions.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    Column("transaction_type", String(16), nullable=False),
    Column("credits", Integer, nullable=False),
    # What can be reserved of it; moved by a trigger when a transaction is written.
    Column("available", Integer, nullable=False),
    # Burn order: priority, soonest expiry, oldest.
    Column("priority", Integer, nullable=False),
    Column("expire_time", UtcDateTime, nullable=True),
    Column("revoke_time", UtcDateTime, nullable=True),
    Column("revoke_reason", String(REASON_CHARS), nullable=False, server_default=text("''")),
    Column("revoke_principal", String(ACTOR_CHARS), nullable=False, server_default=text("''")),
    Column("reason", String(REASON_CHARS), nullable=False),
    Column("principal", String(ACTOR_CHARS), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    UniqueConstraint("account_id", "key", name="uq_grants_account_id_key"),
    CheckConstraint("credits > 0", name="credits"),
    CheckConstraint("available BETWEEN 0 AND credits", name="available"),
    Index("ix_grants_listed", "account_id", "create_time", "id"),
    Index("ix_grants_transaction_id", "transaction_id"),
)
_partial_index("ix_grants_left", "available > 0", grants.c.account_id, grants.c.priority)
_partial_index("ix_grants_expire_time", "available > 0", grants.c.expire_time, grants.c.id)

budgets = Table(
    "budgets",
    metadata,
    Column("account_id", String(ID_CHARS), primary_key=True),
    Column("id", String(36), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("scope", String(16), nullable=False),
    Column("scope_id", String(ID_CHARS), nullable=False),
    Column("credits", Integer, nullable=False),
    # Of reservations made in the month: what open ones hold, and what others were charged.
    Column("used", Integer, nullable=False),
    # Such as 2026-01; empty for a run, whose budget is for all of it.
    Column("month", String(7), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    UniqueConstraint("account_id", "scope", "scope_id", name="uq_budgets_account_id_scope"),
    CheckConstraint("credits >= 0", name="credits"),
    CheckConstraint("used >= 0", name="used"),
    Index("ix_budgets_listed", "account_id", "create_time", "id"),
)

usage_records = Table(
    "usage_records",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(ID_CHARS), nullable=False),
    Column("site_id", String(ID_CHARS), nullable=False),
    Column("sector_id", String(ID_CHARS), nullable=False),
    Column("run_id", String(ID_CHARS), nullable=False),
    Column("api_key_id", String(ID_CHARS), nullable=False),
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
for _leading in ((), ("site_id",), ("run_id",), ("api_key_id",), ("operation",), ("model",)):
    Index(
        "_".join(("ix_usage_records_listed", *_leading)),
        usage_records.c.account_id,
        *(usage_records.c[name] for name in (*_leading, "create_time", "id")),
    )
