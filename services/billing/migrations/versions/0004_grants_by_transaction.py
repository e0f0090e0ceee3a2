"""Grants are found by their transaction: SQLite looks for them when it writes several transactions
together, because their reference is deferred."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_grants_transaction_id", "grants", ["transaction_id"])
