"""One Writer a session; a test that leaves it unwell gets its successors a new one."""

import pytest
from crashes.writer import Writer

pytest.register_assert_rewrite("crashes.invariants", "crashes.destinies")


class _Keeper:
    def __init__(self, tmp_path_factory):
        self._paths = tmp_path_factory
        self._writer = None

    def get(self):
        if self._writer is None:
            self._writer = Writer(self._paths.mktemp("writer")).start()
        return self._writer

    def drop(self):
        if self._writer is not None:
            self._writer.stop()
            self._writer = None


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
    """A Writer where all is well."""
    yield _keeper.get()
    if any(request.node.stash.get(_FAILED, [])):
        _keeper.drop()
