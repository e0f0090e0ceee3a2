"""Everything on one machine: started, watched, and stopped in reverse order.

For the command line and for tests alike. A process that ends by itself stops nothing here;
whoever runs the stack asks for `ended` and decides.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from standalone import health, logs, model
from standalone.failures import Failure, Interrupted
from standalone.nats import NatsServer
from standalone.place import Place
from standalone.plan import PRELOAD, Ground, Part, Plan, Planner, user_environment, whole
from standalone.ports import address_of, listen
from standalone.processes import Process, Processes
from standalone.waiting import never, wait_until

READY_WITHIN_S = 45.0
PREPARE_WITHIN_S = 120.0
STOP_WITHIN_S = 15.0
"""For one process; longer than its own drain."""
STOP_ALL_WITHIN_S = 25.0
LEAST_STOP_S = 0.5
PROBE_EVERY_S = 0.02
CONNECT_TIMEOUT_S = 0.5


class Stack:
    """One Writer in one data directory.

    `environment` adds to the variables of every process; `planner`, `preload` and `prepare`
    replace what it is made of. With `spawn`, every process imports for itself.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        spawn: bool = False,
        environment: Mapping[str, str] | None = None,
        planner: Planner = whole,
        preload: Sequence[str] = PRELOAD,
        prepare: Sequence[str] = (sys.executable, "-P", "-m", "standalone.prepare"),
        interrupted: Callable[[], bool] = never,
    ) -> None:
        self.place = Place(directory)
        self.environment = user_environment() | dict(environment or {})
        self._port = port
        self._planner = planner
        self._prepare = prepare
        self._interrupted = interrupted
        self.processes = Processes(self.place.logs, preload, spawn=spawn, interrupted=interrupted)
        self.nats = NatsServer(
            self.place.nats, log=self.place.logs / "nats.log", interrupted=interrupted
        )
        self._plan = Plan(parts=[])
        self._running: dict[str, Process] = {}
        self._http: socket.socket | None = None
        self._occupied = -1

    @property
    def url(self) -> str:
        """Where the REST API answers."""
        if self._http is None:
            raise Failure("The stack is not running.")
        return f"http://{address_of(self._http)}"

    @property
    def model(self) -> str:
        """`offline`, or the address of the provider."""
        return model.name_of(self.environment)

    @property
    def addresses(self) -> dict[str, str]:
        """host:port of each service, of identity and of the gateway."""
        return dict(self._plan.addresses)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, NATS included, of what has not been seen to end."""
        alive = {n: p.pid for n, p in self._running.items() if p.is_running}
        return alive | ({"nats": self.nats.pid} if self.nats.is_running else {})

    def start(self) -> Self:
        """Returns when everything is ready. Raises Failure, with nothing left behind."""
        if self._occupied >= 0:
            raise Failure("The stack is running already.")
        try:
            self._start()
        except BaseException:
            self.stop(hurry=lambda: True)
            raise
        return self

    def stop(self, *, hurry: Callable[[], bool] = never) -> None:
        """Stops in reverse order, within STOP_ALL_WITHIN_S; at once when `hurry` says so."""
        deadline = time.monotonic() + STOP_ALL_WITHIN_S
        for name in reversed(list(self._running)):
            self._end(self._running[name], deadline, hurry)
        self.processes.close()
        self._running.clear()
        self.nats.stop()
        for sock in (*self._plan.held, *([self._http] if self._http else [])):
            sock.close()
        self._plan, self._http = Plan(parts=[]), None
        if self._occupied >= 0:
            self.place.forget_run()
            os.close(self._occupied)
            self._occupied = -1

    def ended(self) -> str | None:
        """A sentence about a process that has ended by itself, if there is one."""
        if epitaph := self.processes.epitaph():
            return f"{epitaph}."
        for process in self._running.values():
            if not process.is_running:
                return _obituary(process)
        if not self.nats.is_running:
            return f"{self.nats.epitaph()} (log: {self.nats.log})."
        return None

    def kill(self, name: str) -> None:
        """Ends one process as a crash would; `nats` is one, too."""
        if name == "nats":
            self.nats.kill()
        else:
            self._running[name].kill()

    def restart(self, name: str) -> None:
        """Starts one process again, stopping it first if it runs; waits until it is ready."""
        if name == "nats":
            self.nats.restart()
            return
        self._running[name].end(STOP_WITHIN_S)
        part = next(part for part in self._plan.parts if part.program.name == name)
        self._running[name] = self.processes.start(part.program)
        self._await_ready([part], lambda: self._obituary_of(name))

    def trim_logs(self) -> None:
        """Keeps the logs within their bound; to be called now and then."""
        for path in self.place.logs.glob("*.log"):
            logs.trim(path)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        # What can be refused is, before there is anything on the disk; the better reason first.
        self.place.refuse_if_occupied()
        self._http = listen(self._port)
        self.place.prepare()
        self._occupied = self.place.occupy()
        for path in self.place.logs.glob("*.log"):
            logs.rotate(path)
        # What can be done at the same time is: imports, databases, NATS.
        self.processes.open(keep=[self._occupied])
        with _Preparation(self._prepare, self.place, self.environment, self._occupied) as preparing:
            self.nats.start()
            ground = Ground(
                place=self.place,
                nats_url=self.nats.url,
                http=self._http,
                environment=self.environment,
            )
            self._plan = self._planner(ground)
            preparing.wait(self._interrupted)
        for part in self._plan.parts:
            self._running[part.program.name] = self.processes.start(part.program)
        self._await_ready(self._plan.parts, self.ended)

    def _obituary_of(self, name: str) -> str | None:
        process = self._running[name]
        return None if process.is_running else _obituary(process)

    def _await_ready(self, parts: Sequence[Part], dead: Callable[[], str | None]) -> None:
        """Waits for all parts; `dead` tells of a process without which waiting is vain."""
        deadline = time.monotonic() + READY_WITHIN_S
        for part in parts:
            process = self._running[part.program.name]

            def settled(part: Part = part) -> bool:
                return dead() is not None or _is_ready(part)

            wait_until(
                settled,
                deadline - time.monotonic(),
                poll_s=PROBE_EVERY_S,
                interrupted=self._interrupted,
            )
            if sentence := dead():
                raise Failure(f"The start failed: {sentence}")
            if not _is_ready(part):
                words = logs.last_words(process.log) or logs.NO_WORDS
                raise Failure(f"{process.name} is not ready after {READY_WITHIN_S:g} s: {words}")

    def _end(self, process: Process, deadline: float, hurry: Callable[[], bool]) -> None:
        """Asks, waits, kills; the time that is left is for all that are still to be ended."""
        left_s = max(LEAST_STOP_S, min(STOP_WITHIN_S, deadline - time.monotonic()))
        try:
            if process.is_running and not hurry():
                process.end(left_s, interrupted=hurry)
        except Interrupted:
            pass
        if process.is_running:
            process.kill()


def _obituary(process: Process) -> str:
    return f"{process.epitaph()} (log: {process.log})."


class _Preparation:
    """Keys and migrations, as a process of their own; killed when the block is left early."""

    def __init__(
        self, command: Sequence[str], place: Place, environment: Mapping[str, str], occupied: int
    ) -> None:
        self._log = place.logs / "prepare.log"
        log = logs.open_log(self._log)
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [*command, str(place.directory)],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # It holds the directory as well, so that nobody else starts before it has ended.
                pass_fds=[occupied],
                start_new_session=True,
            )
        finally:
            os.close(log)

    def wait(self, interrupted: Callable[[], bool]) -> None:
        done = wait_until(
            lambda: self._process.poll() is not None, PREPARE_WITHIN_S, interrupted=interrupted
        )
        if not done or self._process.returncode != 0:
            words = logs.last_words(self._log) or logs.NO_WORDS
            raise Failure(f"The databases could not be prepared: {words} (log: {self._log}).")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _is_ready(part: Part) -> bool:
    if not part.address:
        return True
    host, _, port = part.address.rpartition(":")
    # Asking a port costs less than a gRPC channel, and leaves no back-off behind.
    try:
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return not part.probe or health.PROBES[part.probe](part.address)
