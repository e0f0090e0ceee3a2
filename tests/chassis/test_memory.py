"""What is remembered takes room only while it may be asked for."""

import pytest

from chassis import clock, memory
from chassis.memory import Memory


@pytest.fixture
def passing(monkeypatch):
    """A clock that stands still until it is moved."""
    moment = [0.0]
    monkeypatch.setattr(clock, "elapsed_s", lambda: moment[0])
    return moment


def test_a_value_is_known_for_its_moment(passing):
    known = Memory(3.0)
    known.put("a", 1, "ada", known.forgotten)
    passing[0] = 2.9
    assert known.get("a") == 1
    passing[0] = 3.0
    assert known.get("a") is None


def test_values_whose_moment_is_over_take_no_room(passing):
    known = Memory(3.0)
    for number in range(100):
        passing[0] = number
        known.put(number, number, "ada", known.forgotten)
    assert len(known._values) == 3


def test_of_too_many_the_oldest_are_dropped(passing, monkeypatch):
    monkeypatch.setattr(memory, "REMEMBERED_MAX", 10)
    known = Memory(3.0)
    for number in range(20):
        known.put(number, number, "ada", known.forgotten)
    assert [known.get(number) for number in (9, 10, 19)] == [None, 10, 19]


def test_what_was_read_before_a_change_is_not_remembered_after_it():
    known = Memory(3.0)
    asked = known.forgotten
    known.forget("ada")
    known.put("a", 1, "ada", asked)
    assert known.get("a") is None
