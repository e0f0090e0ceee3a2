"""Brings one service's database to the newest schema, from code and without an ini file.

Each service has one Alembic tree, `<package>/migrations/versions`, valid on SQLite and
PostgreSQL. Two processes that migrate at once wait for each other.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData, text

from chassis.database import backend_of
from chassis.plumbing import NAMING
from chassis.settings import SettingsError

if TYPE_CHECKING:
    # Imported where they are used: half a second that no running service needs.
    from alembic.script import ScriptDirectory

LOCK = 5_170_412_011
"""PostgreSQL advisory lock under which migrations run; any constant will do."""


def scripts(package: str) -> ScriptDirectory:
    """The Alembic tree of `package`, such as `services.billing`."""
    from alembic.script import ScriptDirectory

    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{package} is not a package")
    folder = Path(next(iter(spec.submodule_search_locations))) / "migrations"
    return ScriptDirectory(str(folder))


def upgrade(url: str, package: str) -> None:
    """Runs what is missing, in one transaction. Must not be called inside an event loop.

    Raises SettingsError for a PostgreSQL database whose locale would make searches miss.
    """
    tree = scripts(package)
    if backend_of(url) == "sqlite":
        from chassis.sqlite import connect

        # A table that is made anew is dropped in between, which would empty those that refer to
        # it; so references are looked at when all is done (https://sqlite.org/lang_altertable.html).
        engine = connect(url, writer=True, foreign_keys=False)
        try:
            with engine.begin() as connection:
                _run(connection, tree)
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken is not None:
                    raise ValueError(f"the migration breaks references of table {broken[0]}")
        finally:
            engine.dispose()
    else:
        asyncio.run(_upgrade_postgres(url, tree))


async def _upgrade_postgres(url: str, tree: ScriptDirectory) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    from chassis.connections import async_url

    engine = create_async_engine(async_url(url))
    try:
        async with engine.begin() as connection:
            if not await connection.scalar(text("SELECT lower('Ä') = 'ä'")):
                raise SettingsError(
                    "the database's locale knows ASCII only; make it with one such as C.UTF-8"
                )
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            await connection.run_sync(_run, tree)
    finally:
        await engine.dispose()


def _run(connection: Connection, tree: ScriptDirectory) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    def steps(revision: Any, _context: Any) -> Any:
        return tree._upgrade_revs("head", revision)  # noqa: SLF001  what alembic.command does

    with EnvironmentContext(Config(), tree, fn=steps, destination_rev="head") as environment:
        environment.configure(
            connection=connection,
            # So that constraints without a name get the one that the schema says.
            target_metadata=MetaData(naming_convention=NAMING),
            render_as_batch=True,
            transaction_per_migration=False,
        )
        environment.run_migrations()
