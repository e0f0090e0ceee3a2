"""Starting, watching and stopping, with small programs in place of the services."""

import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest
from support.substitutes import (
    FAILING,
    NO_PREPARATION,
    OBEDIENT,
    STUBBORN,
    eventually,
    is_alive,
    planner,
)

from standalone import place
from standalone import stack as stack_module
from standalone.failures import Failure, Interrupted
from standalone.stack import Stack


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def make_stack(tmp_path):
    made = []

    def make(plan, directory=tmp_path / "data", **options):
        options = {"preload": (), "prepare": NO_PREPARATION, "spawn": True, **options}
        stack = Stack(directory, planner=plan, **options)
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.stop(hurry=lambda: True)


def written(journal):
    return journal.read_text().splitlines() if journal.exists() else []


def start(stack, journal):
    """Substitutes have no health to ask for, so their first words are waited for."""
    stack.start()
    names = [name for name in stack.pids if name != "nats"]
    eventually(lambda: len(written(journal)) == len(names), "all programs work")
    return stack


def test_processes_stop_in_the_reverse_order_of_their_start(make_stack, journal):
    stack = start(make_stack(planner(journal, "first", "second", "third")), journal)
    assert sorted(written(journal)) == ["start first", "start second", "start third"]
    nats = stack.nats.pid

    stack.stop()

    assert written(journal)[3:] == ["stop third", "stop second", "stop first"]
    assert not is_alive(nats)
    assert stack.pids == {}


def test_a_stack_can_be_started_again_after_it_was_stopped(make_stack, journal):
    stack = start(make_stack(planner(journal, "only")), journal)
    stack.stop()

    stack.start()

    assert is_alive(stack.pids["only"])


def test_a_process_that_dies_while_starting_is_named_with_its_last_words(make_stack, journal):
    stack = make_stack(planner(journal, steady=OBEDIENT, broken=FAILING, probe="grpc"))
    with pytest.raises(Failure, match=r"broken stopped .exit code 1.: the disk has a scratch"):
        stack.start()
    assert stack.pids == {}


def test_a_process_that_dies_later_is_named_and_stops_nothing_by_itself(make_stack, journal):
    stack = start(make_stack(planner(journal, "one", "two")), journal)
    assert stack.ended() is None

    stack.kill("two")

    log = stack.place.logs / "two.log"
    assert stack.ended() == f"two stopped (signal SIGKILL) (log: {log})."
    assert set(stack.pids) == {"one", "nats"}


def test_the_process_that_all_others_come_from_is_named_when_it_takes_them_with_it(
    make_stack, journal
):
    stack = start(make_stack(planner(journal, "one", "two")), journal)
    os.kill(stack.processes.pid, signal.SIGKILL)
    eventually(lambda: set(stack.pids) == {"nats"}, "the deaths are noticed")
    assert stack.ended() == (
        "the process that all others come from stopped (signal SIGKILL) and all others with it"
        f" (log: {stack.place.logs / 'zygote.log'})."
    )


def test_nats_that_was_killed_is_named_without_words_that_explain_nothing(make_stack, journal):
    stack = make_stack(planner(journal)).start()
    log = stack.place.logs / "nats.log"
    os.kill(stack.nats.pid, signal.SIGKILL)
    eventually(lambda: not stack.nats.is_running, "nats-server ends")
    assert stack.ended() == f"nats-server stopped (signal SIGKILL) (log: {log})."

    stack.restart("nats")
    stack.kill("nats")
    assert stack.ended() == f"nats-server stopped (signal SIGKILL) (log: {log})."


def test_a_killed_process_is_started_again_beside_the_others(make_stack, journal):
    stack = start(make_stack(planner(journal, "one", "two")), journal)
    before = stack.pids
    stack.kill("two")

    stack.restart("two")

    eventually(lambda: written(journal).count("start two") == 2, "it works again")
    assert stack.ended() is None
    assert stack.pids["one"] == before["one"]
    assert stack.pids["two"] != before["two"]


def test_a_process_that_will_not_stop_is_killed_in_time(make_stack, journal, monkeypatch):
    monkeypatch.setattr(stack_module, "STOP_WITHIN_S", 0.05)
    stack = make_stack(planner(journal, obedient=OBEDIENT, stubborn=STUBBORN)).start()
    log = stack.place.logs / "stubborn.log"
    eventually(lambda: log.exists() and "ignoring" in log.read_text(), "it ignores SIGTERM")
    pid = stack.pids["stubborn"]

    stack.stop()

    assert not is_alive(pid)
    assert "stop obedient" in written(journal)


def test_whoever_is_in_a_hurry_does_not_wait_for_a_stubborn_process(make_stack, journal):
    stack = make_stack(planner(journal, stubborn=STUBBORN)).start()
    log = stack.place.logs / "stubborn.log"
    eventually(lambda: log.exists() and "ignoring" in log.read_text(), "it ignores SIGTERM")
    looks = iter(range(1_000_000))

    stack.stop(hurry=lambda: next(looks) > 3)

    assert stack.pids == {}


def test_a_request_to_stop_ends_a_start_that_is_under_way(make_stack, journal):
    stack = make_stack(planner(journal, "one"), interrupted=lambda: True)
    with pytest.raises(Interrupted):
        stack.start()
    assert stack.pids == {}


def test_a_port_in_use_is_said_in_one_sentence_and_starts_nothing(make_stack, journal):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = make_stack(planner(journal, "one"), port=port)
        with pytest.raises(Failure, match=f"^Port {port} cannot be used .*--port.$"):
            stack.start()
    assert written(journal) == []
    assert not stack.place.directory.exists()


def test_a_data_directory_that_cannot_be_written_is_said_in_one_sentence(make_stack, journal):
    stack = make_stack(planner(journal, "one"), directory=stack_module.Path("/dev/null/data"))
    with pytest.raises(Failure, match=r"^Cannot write to /dev/null/data: Not a directory.$"):
        stack.start()


def test_a_data_directory_belongs_to_one_stack_at_a_time(make_stack, journal, monkeypatch):
    monkeypatch.setattr(place, "OCCUPY_WITHIN_S", 0.05)
    plan = planner(journal, "one")
    running = start(make_stack(plan), journal)
    # Its port is taken as well, which is not what there is to know.
    port = int(running.url.rpartition(":")[2])
    for another in (make_stack(plan), make_stack(plan, port=port)):
        with pytest.raises(Failure, match=f"in use by a running Writer .process {os.getpid()}."):
            another.start()


def test_databases_that_cannot_be_prepared_are_said_with_the_reason(make_stack, journal):
    failing = (sys.executable, "-S", "-c", "import sys; sys.exit('the schema is from tomorrow')")
    stack = make_stack(planner(journal, "one"), prepare=failing)
    with pytest.raises(Failure, match="could not be prepared: the schema is from tomorrow"):
        stack.start()
    assert written(journal) == []


def test_nothing_outlives_a_parent_that_was_killed(tmp_path, journal):
    code = f"""
        import json, sys, time
        from pathlib import Path
        from support.substitutes import NO_PREPARATION, eventually, planner
        from standalone.stack import Stack
        journal = Path({str(journal)!r})
        stack = Stack(
            Path({str(tmp_path / "data")!r}), planner=planner(journal, "one", "two"),
            preload=(), prepare=NO_PREPARATION,
        ).start()
        eventually(lambda: journal.exists() and len(journal.read_text().split()) == 4, "both work")
        print(*stack.pids.values(), stack.processes.pid, flush=True)
        time.sleep(60)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 4
        assert all(is_alive(pid) for pid in pids)

        parent.send_signal(signal.SIGKILL)

        eventually(lambda: not any(is_alive(pid) for pid in pids), "all have ended")
    Stack(
        tmp_path / "data", planner=planner(journal), preload=(), prepare=NO_PREPARATION
    ).start().stop()


def test_logs_of_earlier_starts_are_kept_and_the_oldest_forgotten(make_stack, journal):
    stack = make_stack(planner(journal, "one"))
    stack.place.prepare()
    for name, start_before in {
        "one.log": "last",
        "one.log.1": "second",
        "one.log.2": "third",
    }.items():
        (stack.place.logs / name).write_text(start_before)
    start(stack, journal)
    stack.stop()
    kept = {path.name: path.read_text() for path in stack.place.logs.glob("one.log*")}
    assert kept == {"one.log": "at work\n", "one.log.1": "last", "one.log.2": "second"}
