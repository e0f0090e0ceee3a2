"""The proofs run on SQLite always, and on PostgreSQL with the slow tests."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        # The hook sees the tests of all folders.
        if here in item.path.parents and "postgresql" in item.name:
            item.add_marker(pytest.mark.slow)
