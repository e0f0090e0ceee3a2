"""One Writer a session and kind of database; where a test leaves it unwell there is a new one."""

import pytest
from crashes.databases import PostgresDatabases
from crashes.writer import Writer
from support import postgresql

pytest.register_assert_rewrite("crashes.invariants", "crashes.destinies")


class _Keeper:
    def __init__(self, tmp_path_factory):
        self._paths = tmp_path_factory
        self._writers = {}

    def get(self, kind, make_databases):
        if kind not in self._writers:
            writer = Writer(self._paths.mktemp("writer"), make_databases())
            self._writers[kind] = writer.start()
        return self._writers[kind]

    def drop(self, *kinds):
        for kind in kinds or list(self._writers):
            self._writers.pop(kind).stop()


@pytest.fixture(scope="session")
def _keeper(tmp_path_factory):
    keeper = _Keeper(tmp_path_factory)
    yield keeper
    keeper.drop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.stash.setdefault(_FAILED, []).append(report.failed)
    return report


_FAILED = pytest.StashKey()


@pytest.fixture
def writer(_keeper, request):
    """A Writer where all is well; on SQLite, unless a test names `postgresql` as its parameter."""
    kind = getattr(request, "param", "sqlite")

    def make_databases():
        if kind == "sqlite":
            return None
        return PostgresDatabases(postgresql.make_databases(request.getfixturevalue("postgres")))

    yield _keeper.get(kind, make_databases)
    if any(request.node.stash.get(_FAILED, [])):
        _keeper.drop(kind)
