"""Forking from one process that has imported everything, and spawning where that is not safe."""

import os
import signal
import sys

import pytest
from support.substitutes import OBEDIENT, eventually, is_alive, program

from standalone.failures import Failure
from standalone.processes import Processes, Program

WITHIN_S = 10


@pytest.fixture
def make_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    made = []

    def make(*preload, spawn=False):
        processes = Processes(tmp_path, preload, spawn=spawn)
        made.append(processes)
        processes.open()
        return processes

    yield make
    for processes in made:
        processes.close()


def forked(name, **env):
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "NAME": name, **env}
    return Program(name=name, module="support.forked", env=env)


def said(process):
    assert process.wait(WITHIN_S)
    return process.log.read_text().split()


@pytest.mark.skipif(sys.platform != "linux", reason="forking is safe on Linux alone")
def test_forked_processes_share_imports_but_no_threads_and_no_random_numbers(make_processes):
    processes = make_processes("support.forked")
    one, two = (processes.start(forked(name)) for name in ("one", "two"))
    first, second = said(one), said(two)
    assert processes.forks
    assert first[:2] == second[:2] == ["True", "True"]
    assert first[2] != second[2], "two processes made the same id"
    assert [first[3], second[3]] == ["one", "two"]


def test_spawned_processes_import_for_themselves(make_processes):
    processes = make_processes("support.forked", spawn=True)
    process = processes.start(forked("one"))
    assert said(process)[0] == "False"
    assert process.exit_code == 0
    assert not processes.forks


@pytest.mark.parametrize("spawn", [False, True])
@pytest.mark.parametrize(("exit_with", "code"), [("", 0), ("3", 3), ("no luck", 1)])
def test_exit_codes_arrive_however_a_process_was_made(make_processes, spawn, exit_with, code):
    process = make_processes("support.forked", spawn=spawn).start(forked("one", EXIT=exit_with))
    assert process.wait(WITHIN_S)
    assert process.exit_code == code
    if code == 1:
        assert process.epitaph() == "one stopped (exit code 1): no luck"


def test_orders_in_quick_succession_are_all_carried_out(make_processes, tmp_path):
    processes = make_processes()
    journal = tmp_path / "journal"
    for round_number in range(10):
        process = processes.start(program("one", OBEDIENT, JOURNAL=str(journal)))
        process.send(signal.SIGCONT)
        process.send(signal.SIGKILL)
        assert process.wait(WITHIN_S), round_number
        assert process.exit_code == -signal.SIGKILL


def test_a_module_that_cannot_be_imported_is_said_with_the_reason(make_processes):
    processes = make_processes("support.no_such_module")
    with pytest.raises(Failure, match=r"No module named 'support.no_such_module'"):
        processes.start(forked("one"))


def test_all_processes_count_as_ended_when_the_process_they_come_from_dies(
    make_processes, tmp_path
):
    processes = make_processes()
    process = processes.start(program("one", OBEDIENT, JOURNAL=str(tmp_path / "journal")))
    os.kill(processes.pid, signal.SIGKILL)
    eventually(lambda: not process.is_running, "the death is noticed")
    if sys.platform == "linux":
        eventually(lambda: not is_alive(process.pid), "the kernel ends the child")
    with pytest.raises(Failure):
        processes.start(forked("two"))
