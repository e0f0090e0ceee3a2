"""An index that orders and counts the live tasks of a site by itself, and room for changes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    live = sa.text("delete_time IS NULL")
    op.create_index(
        "ix_tasks_live",
        "tasks",
        ["account_id", "site_id", "create_time", "id", "sector_id"],
        sqlite_where=live,
        postgresql_where=live,
    )
    op.drop_index("ix_tasks_account_id_site_id", "tasks")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE tasks SET (fillfactor = 70)")
