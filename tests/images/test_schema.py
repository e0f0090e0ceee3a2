"""The migrations and the tables that the stores believe in are the same."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.images.schema import metadata


async def test_the_migrations_make_the_tables_of_the_schema(make_database):
    database = await make_database("services.images")

    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert await database.read(differences) == []
