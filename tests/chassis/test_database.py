"""Which databases can be opened, what one that does not answer says, and ids for rows."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chassis import sqlite
from chassis.database import open_database
from chassis.errors import Unavailable
from chassis.ids import derived_id, new_id
from chassis.sqlite import SqliteDatabase

ROOT = Path(__file__).resolve().parents[2]
UNSUPPORTED = ("mysql://u:hunter2@h/db", "hunter2", "", "sqlite+nothing", "redis://hunter2")


@pytest.mark.parametrize("url", UNSUPPORTED)
def test_another_kind_of_database_is_refused_without_showing_its_url(url):
    with pytest.raises(ValueError, match="database") as caught:
        open_database(url)
    assert "hunter2" not in str(caught.value)


async def test_a_database_that_does_not_answer_is_unavailable(tmp_path):
    database = open_database(f"postgresql://postgres@/db?host={tmp_path}")
    try:
        with pytest.raises(Unavailable):
            await database.write(lambda _c: None)
        with pytest.raises(Unavailable):
            await database.read(lambda _c: None)
    finally:
        await database.close()


async def test_a_full_queue_of_writes_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "QUEUE_MAX", 1)
    database = SqliteDatabase(f"sqlite:///{tmp_path}/full.db")
    started, go_on = threading.Event(), threading.Event()

    def slow(_connection):
        started.set()
        go_on.wait(5)

    first = asyncio.create_task(database.write(slow))
    await asyncio.to_thread(started.wait, 5)
    second = asyncio.create_task(database.write(lambda _c: None))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="Too many"):
        await database.write(lambda _c: None)
    go_on.set()
    await asyncio.gather(first, second)
    await database.close()


def test_ids_are_in_order_and_derived_ones_are_always_the_same():
    made = [new_id() for _ in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == 1000
    assert derived_id("a", "b") == derived_id("a", "b") != derived_id("ab")


FORKING = """
import os
from chassis.ids import new_id

new_id()
readers = []
for _ in range(3):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, " ".join(new_id() for _ in range(1000)).encode())
        os._exit(0)
    os.close(writer)
    readers.append(reader)
made = [id for reader in readers for id in os.fdopen(reader).read().split()]
assert len(made) == len(set(made)) == 3000, len(set(made))
"""


def test_processes_forked_from_one_never_make_the_same_id():
    # The launcher forks every process from one; a copied random state would repeat ids.
    subprocess.run([sys.executable, "-c", FORKING], check=True, cwd=ROOT, timeout=30)
