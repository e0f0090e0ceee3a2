"""Starting, signalling and watching the processes of one machine, through the zygote."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from standalone import logs
from standalone.failures import Failure
from standalone.waiting import never, wait_until

IMPORT_WITHIN_S = 60.0
ANSWER_WITHIN_S = 10.0
CLOSE_WITHIN_S = 5.0
NEWS_BYTES_MAX = 65_536
ZYGOTE = "the process that all others come from"
ZYGOTE_LOG = "zygote.log"
_ZYGOTE = (sys.executable, "-P", "-m", "standalone.zygote")


@dataclass(frozen=True, kw_only=True)
class Program:
    """What one process runs."""

    name: str
    module: str = ""
    """Has `main()`, which blocks until the process is told to stop."""
    command: Sequence[str] = ()
    """Run instead of the module."""
    env: Mapping[str, str] = field(default_factory=dict)
    inherits: socket.socket | None = None
    """A listening socket; the process finds its number in WRITER_LISTEN_FD."""


class Process:
    """One process that was started; ended when `exit_code` is set (negative: by a signal)."""

    def __init__(self, processes: Processes, name: str, log: Path) -> None:
        self._processes = processes
        self.name = name
        self.log = log
        self.pid = 0
        self.exit_code: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is alive, as far as is known at this moment."""
        self._processes.hear()
        return self.exit_code is None

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; does nothing once the process has ended."""
        self._processes.signal(self.pid, number)

    def wait(self, timeout_s: float, interrupted: Callable[[], bool] = never) -> bool:
        """Whether it has ended in time. Raises Interrupted."""
        return wait_until(lambda: not self.is_running, timeout_s, interrupted=interrupted)

    def end(self, within_s: float, interrupted: Callable[[], bool] = never) -> None:
        """Asks it to stop, and kills it when it has not within this time. Raises Interrupted."""
        self.send(signal.SIGTERM)
        if not self.wait(within_s, interrupted):
            self.kill()

    def kill(self) -> None:
        """Ends it as a crash would."""
        self.send(signal.SIGKILL)
        self.wait(ANSWER_WITHIN_S)

    def epitaph(self) -> str:
        """How and why it ended, for people."""
        return logs.epitaph(self.name, self.exit_code, self.log)


class Processes:
    """Starts processes that never outlive us, with their output in `log_directory`."""

    def __init__(
        self,
        log_directory: Path,
        preload: Sequence[str] = (),
        *,
        spawn: bool = False,
        interrupted: Callable[[], bool] = never,
    ) -> None:
        self._logs = log_directory
        self._preload = preload
        # Elsewhere than on Linux, system libraries do not survive a fork without exec.
        self._mode = "fork" if sys.platform == "linux" and not spawn else "spawn"
        self._interrupted = interrupted
        self._lock = threading.RLock()
        self._by_pid: dict[int, Process] = {}
        self._starting: Process | None = None
        self._ready = False
        self._heard = b""
        self._closed = False
        self._zygote: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self.forks = False

    def open(self, *, keep: Sequence[int] = ()) -> None:
        """Starts the zygote and does not wait for it; it keeps the descriptors in `keep` open."""
        ours, theirs = socket.socketpair()
        log = logs.open_log(self._logs / ZYGOTE_LOG)
        try:
            self._zygote = subprocess.Popen(  # noqa: S603
                [*_ZYGOTE, str(theirs.fileno()), self._mode, *self._preload],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno(), *keep],
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(log)
        self._socket, self._closed = ours, False

    @property
    def pid(self) -> int:
        """Of the zygote."""
        return self._zygote.pid if self._zygote else 0

    def start(self, program: Program) -> Process:
        """Starts a process and does not wait until it is ready."""
        self._await(lambda: self._ready, IMPORT_WITHIN_S)
        log = self._logs / f"{program.name}.log"
        order = {
            "name": program.name,
            "module": program.module,
            "command": list(program.command),
            "env": dict(program.env),
            "log": str(log),
            "descriptors": 1 if program.inherits else 0,
        }
        with self._lock:
            process = self._starting = Process(self, program.name, log)
            self._send(order, [program.inherits.fileno()] if program.inherits else [])
            self._await(lambda: process.pid != 0, ANSWER_WITHIN_S)
            return process

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Sends a signal to a process started here, if it is still alive."""
        with self._lock, contextlib.suppress(OSError):
            self._send({"pid": pid, "signal": int(number)}, [])

    def hear(self) -> None:
        """Takes in what the zygote has told meanwhile."""
        with self._lock:
            while self._socket and select.select([self._socket], [], [], 0)[0]:
                try:
                    news = self._socket.recv(NEWS_BYTES_MAX)
                except ConnectionResetError:
                    news = b""
                if not news:
                    self._bury_all()
                    return
                *lines, self._heard = (self._heard + news).split(b"\n")
                for line in lines:
                    self._note(json.loads(line))

    def epitaph(self) -> str:
        """How the zygote ended that all our processes died with; empty when it did not."""
        self.hear()
        if self._zygote is None or self._socket is not None or self._closed:
            return ""
        try:
            code: int | None = self._zygote.wait(CLOSE_WITHIN_S)
        except subprocess.TimeoutExpired:
            code = None
        log = self._logs / ZYGOTE_LOG
        return f"{logs.epitaph(ZYGOTE, code, log)} and all others with it (log: {log})"

    def close(self) -> None:
        """Ends the zygote, which ends whatever is still running."""
        with self._lock:
            self._closed = True
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        if self._zygote is not None:
            try:
                self._zygote.wait(CLOSE_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._zygote.kill()
                self._zygote.wait()
        self._bury_all()

    def _send(self, order: Mapping[str, Any], descriptors: list[int]) -> None:
        if self._socket is None:
            raise Failure("The processes have been stopped.")
        data = json.dumps(order).encode() + b"\n"
        sent = socket.send_fds(self._socket, [data], descriptors)
        self._socket.sendall(data[sent:])

    def _await(self, condition: Callable[[], bool], timeout_s: float) -> None:
        def heard() -> bool:
            self.hear()
            return condition() or self._socket is None

        if wait_until(heard, timeout_s, interrupted=self._interrupted) and condition():
            return
        words = logs.last_words(self._logs / ZYGOTE_LOG) or logs.NO_WORDS
        raise Failure(f"The processes cannot be started: {words}")

    def _note(self, news: Mapping[str, Any]) -> None:
        if "ready" in news:
            self._ready, self.forks = True, news["forking"]
        elif "pid" in news and self._starting is not None:
            # Known at once: that it has already ended again may be the next line.
            self._starting.pid = news["pid"]
            self._by_pid[news["pid"]] = self._starting
        elif news["ended"] in self._by_pid:
            self._by_pid.pop(news["ended"]).exit_code = news["status"]

    def _bury_all(self) -> None:
        """Without the zygote there are no children either."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for process in self._by_pid.values():
            process.exit_code = -signal.SIGKILL
        self._by_pid.clear()
