"""What takes long on PostgreSQL runs with the slow tests there, and on SQLite always."""

import pytest

LONG = (
    "test_a_process_that_dies_around_a_commit_leaves_one_effect",
    "test_fifty_whose_answers_are_lost_have_one_effect_and_one_answer",
    "test_one_of_ten_gets_it_whatever_the_limit",
)


def pytest_collection_modifyitems(items):
    for item in items:
        name, _, parameters = item.name.partition("[")
        if name in LONG and "postgresql" in parameters:
            item.add_marker(pytest.mark.slow)
