"""One small schema on a fresh database of each kind; `database` runs a test on both."""

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, UniqueConstraint

from chassis.columns import JsonDocument, UtcDateTime
from chassis.database import open_database

metadata = MetaData()

counters = Table(
    "counters",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("value", Integer, nullable=False),
)

things = Table(
    "things",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("moment", UtcDateTime, nullable=True),
    Column("document", JsonDocument, nullable=True),
    UniqueConstraint("title", name="uq_things_title"),
)

# What it refers to is looked at when the transaction commits, not before.
notes = Table(
    "notes",
    metadata,
    Column("id", String(36), primary_key=True),
    Column(
        "thing_id",
        String(36),
        ForeignKey("things.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
)


@pytest.fixture
def tables():
    return metadata.tables


@pytest.fixture(scope="session")
def conformance_name(postgres):
    """One PostgreSQL database for all: making a schema is quicker than making a database."""
    return postgres.create()


@pytest.fixture
def database_url(request, dialect, tmp_path):
    if dialect == "sqlite":
        return f"sqlite:///{tmp_path}/conformance.db"
    name = request.getfixturevalue("conformance_name")
    return request.getfixturevalue("postgres").url(name)


@pytest.fixture
async def database(database_url):
    """An open database with the schema above, empty; on SQLite and then on PostgreSQL."""
    opened = open_database(database_url)
    await opened.write(metadata.drop_all)
    await opened.write(metadata.create_all)
    yield opened
    await opened.close()
