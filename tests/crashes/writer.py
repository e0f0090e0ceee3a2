"""A whole Writer that may be killed in any way, and customers that work with it over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
from crashes.databases import PostgresDatabases, SqliteFiles

from chassis.bus import STREAM
from chassis.ids import new_id
from standalone.plan import PRELOAD, SERVICES, Ground, Plan, whole
from standalone.processes import Program
from standalone.rest import Refused, Rest, Unreachable
from standalone.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
DATABASES = (*SERVICES, "identity")
ACK_WAIT_S = 2.0
WITHIN_S = 45.0
"""For anything that is waited for; on an idle machine nothing takes a third of it."""
POLL_S = 0.05
PASSWORD = "correct horse battery"
# Imported once, so that a process that is started again is at work at once.
PRELOADED = (*PRELOAD, "openai", "crashes.dying")


class Writer:
    """A stack in one directory, on SQLite when no other databases are given.

    `environment` adds to every process's variables.
    """

    def __init__(
        self, directory: Path, databases: PostgresDatabases | None = None, **environment: str
    ) -> None:
        self._data = directory / "data"
        self._databases = databases or SqliteFiles(self._data)
        self._orders = directory / "orders"
        self._orders.mkdir(parents=True)
        self._environment = {
            "WRITER_ACK_WAIT_S": str(ACK_WAIT_S),
            # Every process dies more often here than in a year of ordinary life.
            "WRITER_MAX_DELIVERIES": "25",
            "OPENAI_API_KEY": "",
            "OPENAI_BASE_URL": "",
            "CRASH_ORDERS": str(self._orders),
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "protos/gen", ROOT / "tests"))),
            **environment,
        }
        self._changes: dict[str, Mapping[str, str]] = {}
        self.stack = self._new_stack()

    def start(self) -> Writer:
        """Starts everything, for the first time or again on what was left behind."""
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = self._environment["PYTHONPATH"]
        try:
            self.stack = self._new_stack().start()
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before
        return self

    def stop(self) -> None:
        """Stops everything, without patience."""
        self.stack.stop(hurry=lambda: True)

    def _new_stack(self) -> Stack:
        return Stack(
            self._data,
            environment=self._environment,
            planner=lambda ground: self._databases.moved(mortal(ground)),
            preload=PRELOADED,
            prepare=self._databases.prepare,
        )

    # How it is killed and comes back.

    def kill_all(self) -> None:
        """Ends every process at once, NATS and the zygote included."""
        os.kill(self.stack.processes.pid, signal.SIGKILL)
        self.stack.kill("nats")
        self.stop()

    @property
    def dead(self) -> list[str]:
        """Processes that have ended, NATS aside."""
        return [name for name, each in self.stack._running.items() if not each.is_running]

    def revive(self) -> None:
        """Starts again what is dead; does not wait for it."""
        for name in self.dead:
            program = self.program(name)
            program = replace(program, env={**program.env, **self._changes.get(name, {})})
            self.stack._running[name] = self.stack.processes.start(program)

    def program(self, name: str) -> Program:
        """What a process runs."""
        parts = self.stack._plan.parts
        return next(part.program for part in parts if part.program.name == name)

    @contextmanager
    def changed(self, name: str, **environment: str) -> Iterator[None]:
        """Gives one process other variables for as long as the block runs."""
        self._changes[name] = environment
        self.stack.kill(name)
        try:
            yield
        finally:
            del self._changes[name]
            self.stack.kill(name)
            self.revive()

    def await_death(self, name: str) -> None:
        """Returns when the process has been seen to end; then a call would wait for the next."""
        deadline = time.monotonic() + WITHIN_S
        while name not in self.dead:
            assert time.monotonic() < deadline, f"{name} lives"
            time.sleep(POLL_S)

    def order(self, process: str, point: str) -> None:
        """Tells a process to die once at this point; see `dying`."""
        (self._orders / f"{process}.{point}").touch()

    def forget_orders(self) -> None:
        """Takes all orders back."""
        for file in self._orders.iterdir():
            file.unlink()

    @property
    def orders(self) -> list[str]:
        """What has not been carried out."""
        return sorted(file.name for file in self._orders.iterdir())

    # How it is looked at.

    def wait(self, condition: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> Any:
        """Polls until `condition` is true, starting again whatever dies meanwhile."""
        deadline = time.monotonic() + within_s
        while True:
            self.revive()
            try:
                if result := condition():
                    return result
            except (Refused, Unreachable) as error:
                what_now = repr(error)
            else:
                what_now = self.unfinished()
            assert time.monotonic() < deadline, f"not within {within_s} s: {what}; {what_now}"
            time.sleep(POLL_S)

    def settle(self, within_s: float = WITHIN_S) -> None:
        """Waits until nothing is left to be done anywhere."""
        last = [-1]

        def quiet() -> bool:
            # Nothing is published between two looks at a stream of the same length; what is
            # heard is committed before it is acknowledged. So the second look is conclusive.
            before, (published, waiting) = last[0], consumers_of(self.stack.nats.url)
            last[0] = published
            return published == before and not any(waiting.values()) and not self.unfinished()

        self.wait(quiet, "all work ends", within_s)
        assert not self.orders, "the test did not meet these points"

    def unfinished(self) -> dict[str, Any]:
        """What the databases say is still to be done."""
        found = {
            "runs": self.rows("tasks", "SELECT id, state FROM runs WHERE end_time IS NULL"),
            "open": self.rows("billing", "SELECT key FROM reservations WHERE state = 'open'"),
            **{
                f"outbox of {name}": self.rows(name, "SELECT type FROM outbox")
                for name in DATABASES
            },
        }
        return {name: rows for name, rows in found.items() if rows}

    def rows(self, database: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one service's own database."""
        return self._databases.run(database, query, *values)

    def take_letters(self) -> list[tuple[str, str, int]]:
        """Consumer, reason and attempts of all dead letters, which are removed."""
        query = "DELETE FROM dead_letters RETURNING consumer, reason, attempts"
        return [row for name in DATABASES for row in self._databases.run(name, query)]

    def model_calls(self, kind: str, title: str) -> list[dict[str, Any]]:
        """What the model was asked about this title, oldest first."""
        with urllib.request.urlopen(
            f"http://{self.stack.addresses['model']}/offline/requests", timeout=10
        ) as answer:
            entries = json.load(answer)
        return [each for each in entries if each["kind"] == kind and title in each["title"]]

    def call_states(self, title: str) -> list[str]:
        """How each request for this text has ended."""
        return [each["state"] for each in self.model_calls("text", title)]


class Customer:
    """One account with a site and a cluster."""

    def __init__(self, writer: Writer, *, key: str = "") -> None:
        self._writer = writer
        self.registration = registration()
        session = self._session(key)
        self._authorization = f"Bearer {session['access_token']}"
        self.id = session["account"]["id"]
        self._scope = {"site_id": session["site_id"], "sector_id": session["sector_id"]}
        self._cluster = self.rest().post("writer/clusters", {"name": "Crashes", **self._scope})

    def rest(self, key: str = "") -> Rest:
        """The API in this account's name; `key` goes along as Idempotency-Key."""
        return rest(self._writer, self._authorization, key)

    def tasks(self, *titles: str) -> list[str]:
        """Ids of new tasks of 100 words each."""
        brief = {
            "cluster_id": self._cluster["id"],
            "content_type": "post",
            "content_structure": "article",
            "word_count": 100,
            **self._scope,
        }
        rest = self.rest()
        return [str(rest.post("writer/tasks", {**brief, "title": t})["id"]) for t in titles]

    def generate(
        self, tasks: Sequence[str], stop_after: str = "content", key: str = ""
    ) -> dict[str, Any]:
        """The run that writes these tasks."""
        body = {"ids": list(tasks), "stop_after": stop_after}
        return self.rest(key).post("writer/tasks/auto_generate_content", body)

    def generate_at_last(self, tasks: Sequence[str], stop_after: str) -> dict[str, Any]:
        """The same, asked again with one key until there is an answer."""
        key = new_id()
        return self._writer.wait(lambda: self.generate(tasks, stop_after, key), "a run")

    def order(self, *titles: str, stop_after: str = "content") -> dict[str, Any]:
        """Tasks and the run that writes them."""
        return self.generate(self.tasks(*titles), stop_after)

    def run(self, run_id: str) -> dict[str, Any]:
        """The run as it is now."""
        return self.rest().get_data(f"writer/runs/{run_id}")

    def balance(self) -> dict[str, Any]:
        """Credits as they are now; zeros are left out by the API."""
        found = self.rest().get_data("billing/credits/balance")
        return {name: found.get(name, 0) for name in ("granted", "available", "reserved", "spent")}

    def _session(self, key: str) -> dict[str, Any]:
        return rest(self._writer, "", key).post("auth/register", self.registration)


def registration() -> dict[str, str]:
    """What somebody new fills in."""
    name = new_id()
    return {"email": f"{name}@example.com", "password": PASSWORD, "name": "A", "account_name": name}


def rest(writer: Writer, authorization: str = "", key: str = "") -> Rest:
    """A client; `key` goes along as Idempotency-Key."""
    client = Rest(writer.stack.url, authorization)
    if key:
        client._headers["Idempotency-Key"] = key
    return client


def mortal(ground: Ground) -> Plan:
    """The usual plan, with processes that can be told to die."""

    def changed(program: Program) -> Program:
        if program.name == "model":
            return program
        env: Mapping[str, str] = {**program.env, "CRASH_PROCESS": program.name}
        return replace(program, module="crashes.dying", env=env)

    plan = whole(ground)
    parts = [replace(part, program=changed(part.program)) for part in plan.parts]
    return replace(plan, parts=parts)


def consumers_of(url: str) -> tuple[int, dict[str, int]]:
    """How much was ever published, and what each consumer has not acknowledged yet."""

    async def ask() -> tuple[int, dict[str, int]]:
        client = await nats.connect(url, allow_reconnect=False, connect_timeout=5)
        try:
            stream = client.jetstream(timeout=5)
            found = await stream.consumers_info(STREAM)
            waiting = {each.name: each.num_pending + each.num_ack_pending for each in found}
            return (await stream.stream_info(STREAM)).state.last_seq, waiting
        finally:
            await client.close()

    return asyncio.run(ask())
