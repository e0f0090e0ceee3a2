"""Every service's migrations: from nothing, twice, at once, and to exactly its schema."""

import asyncio
import importlib
import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from chassis import migrate
from chassis.database import open_database
from chassis.migrate import upgrade
from chassis.settings import SettingsError

PACKAGES = (
    "services.tasks",
    "services.content",
    "services.images",
    "services.billing",
    "gateway.identity",
)
AT_ONCE = 4
ASCII_ONLY = "template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C'"

POSTGRES_CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
          AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'alembic_version'""",
    "indexes": """
        SELECT indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'c')
          AND conrelid <> 'alembic_version'::regclass""",
}


def metadata_of(package):
    return importlib.import_module(f"{package}.schema").metadata


def sqlite_catalogue(connection):
    """What SQLite knows of its tables, in an order that does not depend on their making."""
    inspector = inspect(connection)
    found = {}
    for table in sorted(set(inspector.get_table_names()) - {"alembic_version"}):
        found[table] = {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(table)
            },
            "primary key": inspector.get_pk_constraint(table),
            "unique": sorted(map(str, inspector.get_unique_constraints(table))),
            "checks": sorted(
                re.sub(r"[\s()]+", " ", str(check))
                for check in inspector.get_check_constraints(table)
            ),
            "foreign keys": sorted(map(str, inspector.get_foreign_keys(table))),
        }
    indexes = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    )
    found["indexes"] = {
        name: " ".join(sql.replace('"', "").replace("<>", "!=").split()) for name, sql in indexes
    }
    return found


def postgres_catalogue(connection):
    return {
        part: sorted(tuple(map(str, row)) for row in connection.execute(text(query)))
        for part, query in POSTGRES_CATALOGUE.items()
    }


def catalogue(connection):
    if connection.dialect.name == "sqlite":
        return sqlite_catalogue(connection)
    connection.execute(text("SET LOCAL search_path TO public"))
    return postgres_catalogue(connection)


def differences(connection, metadata):
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    return compare_metadata(context, metadata)


@pytest.fixture
async def empty_url(request, dialect, tmp_path):
    """`empty_url()`: the URL of a database without any table."""
    made = []
    postgres = request.getfixturevalue("postgres") if dialect == "postgresql" else None

    def make():
        if postgres is None:
            made.append(len(made))
            return f"sqlite:///{tmp_path}/{len(made)}.db"
        made.append(postgres.create())
        return postgres.url(made[-1])

    yield make
    if postgres is not None:
        for name in made:
            await asyncio.to_thread(postgres.drop, name)


@pytest.mark.parametrize("package", PACKAGES)
async def test_several_that_migrate_at_once_make_one_schema(empty_url, package):
    url, plain_url = empty_url(), empty_url()
    metadata = metadata_of(package)
    await asyncio.gather(
        *(asyncio.to_thread(upgrade, url, package) for _ in range(AT_ONCE)),
    )
    await asyncio.to_thread(upgrade, url, package)
    migrated, plain = open_database(url), open_database(plain_url)
    try:
        await plain.write(lambda c: c.execute(text("CREATE TABLE alembic_version (x INTEGER)")))
        await plain.write(metadata.create_all)
        assert await migrated.read(lambda c: differences(c, metadata)) == []
        assert await migrated.read(catalogue) == await plain.read(catalogue)
    finally:
        await migrated.close()
        await plain.close()


async def test_the_comparison_sees_what_is_missing(empty_url):
    url, plain_url = empty_url(), empty_url()
    await asyncio.to_thread(upgrade, url, "services.tasks")
    metadata = metadata_of("services.tasks")
    migrated, plain = open_database(url), open_database(plain_url)

    def spoil(connection):
        connection.execute(text("DROP INDEX uq_generations_active_task"))
        connection.execute(
            text("CREATE UNIQUE INDEX uq_generations_active_task ON generations (task_id)")
        )

    try:
        await migrated.write(spoil)
        await plain.write(lambda c: c.execute(text("CREATE TABLE alembic_version (x INTEGER)")))
        await plain.write(metadata.create_all)
        assert await migrated.read(catalogue) != await plain.read(catalogue)
    finally:
        await migrated.close()
        await plain.close()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_tree_has_one_head_and_one_root(package):
    tree = migrate.scripts(package)
    assert len(tree.get_heads()) == 1
    assert len(tree.get_bases()) == 1


def test_something_that_is_no_service_has_no_migrations():
    with pytest.raises(ValueError, match="not a package"):
        migrate.scripts("chassis.clock")


def test_a_database_that_knows_ascii_only_is_refused(postgres):
    name = postgres.create(ASCII_ONLY)
    try:
        with pytest.raises(SettingsError, match="locale"):
            upgrade(postgres.url(name), "services.tasks")
    finally:
        postgres.drop(name)


MIGRATION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = {revision!r}, {before!r}, None, None

def upgrade():
"""
TWO_TABLES = """
    op.create_table("parents", sa.Column("id", sa.Integer, primary_key=True))
    op.create_table(
        "children",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "parent_id",
            sa.Integer,
            sa.ForeignKey("parents.id", ondelete="CASCADE", name="fk_children_parent_id"),
        ),
    )
    op.execute("INSERT INTO parents VALUES (1)")
    op.execute("INSERT INTO children VALUES (1, 1)")
"""
A_WIDER_COLUMN = """
    with op.batch_alter_table("parents") as batch:
        batch.alter_column("id", type_=sa.BigInteger)
"""
AN_ORPHAN = """
    op.execute("INSERT INTO children VALUES (2, 99)")
"""


@pytest.fixture
def house(tmp_path, monkeypatch):
    """`house(step, …)`: a package with one migration a step."""

    def build(*steps):
        folder = tmp_path / "house" / "migrations" / "versions"
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "house" / "__init__.py").touch()
        for number, step in enumerate(steps, 1):
            before = f"{number - 1:04}" if number > 1 else None
            head = MIGRATION.format(revision=f"{number:04}", before=before)
            (folder / f"{number:04}.py").write_text(head + step)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        return "house"

    return build


async def rows(url, table):
    database = open_database(url)
    try:
        return await database.read(lambda c: c.execute(text(f"SELECT * FROM {table}")).all())
    finally:
        await database.close()


async def test_a_table_that_is_made_anew_keeps_the_rows_that_refer_to_it(empty_url, house):
    url = empty_url()
    await asyncio.to_thread(upgrade, url, house(TWO_TABLES, A_WIDER_COLUMN))
    assert await rows(url, "children") == [(1, 1)]


async def test_a_migration_that_breaks_a_reference_changes_nothing(empty_url, house):
    url = empty_url()
    await asyncio.to_thread(upgrade, url, house(TWO_TABLES))
    with pytest.raises((IntegrityError, ValueError)):
        await asyncio.to_thread(upgrade, url, house(TWO_TABLES, AN_ORPHAN))
    assert await rows(url, "children") == [(1, 1)]
    assert await rows(url, "alembic_version") == [("0001",)]


async def test_a_migration_that_fails_changes_nothing(empty_url, house):
    url = empty_url()
    bad = TWO_TABLES.replace('"children"', '"others"') + "    op.execute('nonsense')"
    with pytest.raises(DBAPIError):
        await asyncio.to_thread(upgrade, url, house(TWO_TABLES, bad))
    database = open_database(url)
    try:
        assert await database.read(lambda c: inspect(c).get_table_names()) == []
    finally:
        await database.close()
