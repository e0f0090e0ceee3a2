"""The migrations make the tables that the stores expect, on both databases."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gateway.identity.schema import metadata


async def test_the_migrated_tables_are_those_of_the_schema(database):
    def differences(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    assert await database.write(differences) == []
