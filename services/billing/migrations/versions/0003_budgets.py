"""Ceilings for sites, API keys and runs."""

import sqlalchemy as sa
from alembic import op

from chassis.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("account_id", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("scope_id", sa.String(64), nullable=False),
        sa.Column("credits", sa.Integer, nullable=False),
        sa.Column("used", sa.Integer, nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
        sa.UniqueConstraint("account_id", "scope", "scope_id", name="uq_budgets_account_id_scope"),
        sa.CheckConstraint("credits >= 0", name=op.f("ck_budgets_credits")),
        sa.CheckConstraint("used >= 0", name=op.f("ck_budgets_used")),
    )
    op.create_index("ix_budgets_listed", "budgets", ["account_id", "create_time", "id"])
