"""The migrations make the tables that the stores expect, on both databases, and lose no row."""

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from chassis import clock
from chassis.database import open_database
from chassis.migrate import upgrade
from gateway.identity.schema import metadata
from gateway.identity.store.accounts import AccountStore

PACKAGE = "gateway.identity"


async def test_the_migrated_tables_are_those_of_the_schema(database):
    def differences(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    assert await database.write(differences) == []


async def test_people_of_the_first_tables_keep_what_they_have(
    request, dialect, tmp_path, monkeypatch
):
    if dialect == "postgresql":
        postgres = request.getfixturevalue("postgres")
        url = postgres.url(postgres.create())
    else:
        url = f"sqlite:///{tmp_path}/old.db"
    upgrade_revs = ScriptDirectory._upgrade_revs
    monkeypatch.setattr(
        ScriptDirectory, "_upgrade_revs", lambda tree, _to, now: upgrade_revs(tree, "0001", now)
    )
    await asyncio.to_thread(upgrade, url, PACKAGE)
    database, now = open_database(url), clock.now().replace(tzinfo=None).isoformat(" ")

    def fill(connection):
        for statement in (
            f"INSERT INTO accounts VALUES ('a', 'Engines', 'trial', '{now}')",
            f"INSERT INTO users VALUES ('a', 'u', 'ada@x.y', 'Ada', 'owner', 'h', '{now}', NULL)",
            f"INSERT INTO sites VALUES ('a', 's', 'Blog', '', 'c', '{now}')",
            f"INSERT INTO site_access VALUES ('a', 'u', 's', '{now}')",
        ):
            connection.execute(text(statement))

    await database.write(fill)
    await database.close()
    monkeypatch.undo()
    await asyncio.to_thread(upgrade, url, PACKAGE)
    database = open_database(url)
    member = await database.read(lambda connection: AccountStore(connection).by_email("ada@x.y"))
    await database.close()
    assert (member.user.name, member.user.revision, member.user.granted_sites) == ("Ada", 1, ("s",))
    assert member.user.update_time == member.user.create_time
    assert (member.account.name, member.account.revision) == ("Engines", 1)
