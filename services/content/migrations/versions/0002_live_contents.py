"""An index that orders and counts the live contents of a site by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    live = sa.text("delete_time IS NULL")
    op.create_index(
        "ix_contents_live",
        "contents",
        ["account_id", "site_id", "create_time", "id", "sector_id"],
        sqlite_where=live,
        postgresql_where=live,
    )
    op.drop_index("ix_contents_account_id_site_id", "contents")
