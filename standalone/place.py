"""The data directory of a stack: what lies where, and who may use it."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from standalone.failures import Failure
from standalone.waiting import wait_until

USUAL = Path(__file__).resolve().parent.parent / "var"
"""The data directory when nothing else is said."""
PRIVATE = 0o600
LOCK_CHARS_MAX = 32
OCCUPY_WITHIN_S = 1.0
"""Covers processes of a killed stack that are about to end, and commands that only look."""


class Place:
    """A directory that belongs to one stack at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.expanduser().absolute()
        self.logs = self.directory / "logs"
        self.keys = self.directory / "keys"
        self.nats = self.directory / "nats"
        self.files = self.directory / "files"
        self._lock = self.directory / "lock"
        self._run = self.directory / "run.json"
        self._demo = self.directory / "demo.json"

    @property
    def option(self) -> str:
        """What a command line needs to mean this directory, with a leading blank; often nothing."""
        if self.directory == USUAL:
            return ""
        return f" --data {shlex.quote(str(self.directory))}"

    def database_url(self, name: str) -> str:
        """The SQLite file of a service."""
        # A path may hold what would end the path in a URL, or begin an escape. As SQLAlchemy's
        # own URL does it, which would cost the launcher a third of a second to import.
        return f"sqlite:///{quote(str(self.directory / name))}.db"

    def prepare(self) -> None:
        """Makes the folders. Raises Failure where that is not allowed."""
        with self._readable_refusal():
            for folder in (self.directory, self.logs, self.nats, self.files):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def refuse_if_occupied(self) -> None:
        """Raises Failure when another stack holds the directory. Looks only: makes nothing."""
        try:
            file = self._lock.open()
        except OSError:
            return
        with file:
            self._refuse_unless_locked(file.fileno(), fcntl.LOCK_SH)

    def occupy(self) -> int:
        """Takes the directory for this process; returns the descriptor that holds it.

        Whoever inherits the descriptor holds it, too. Raises Failure when another stack does.
        """
        with self._readable_refusal():
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, PRIVATE)
        try:
            self._refuse_unless_locked(descriptor, fcntl.LOCK_EX)
        except Failure:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return descriptor

    def running(self) -> dict[str, Any] | None:
        """What the stack that uses this directory said when it became ready, if there is one."""
        try:
            with self._lock.open() as file:
                return None if _locked(file.fileno(), fcntl.LOCK_SH) else _read(self._run)
        except OSError:
            return None

    def write_run(self, document: Mapping[str, Any]) -> None:
        """Leaves word for other commands on this machine."""
        _write_private(self._run, document)

    def forget_run(self) -> None:
        """Takes the word back."""
        self._run.unlink(missing_ok=True)

    def read_demo(self) -> dict[str, Any] | None:
        """Credentials of the demo account, if there is one."""
        return _read(self._demo)

    def write_demo(self, document: Mapping[str, Any]) -> None:
        """Keeps the credentials of the demo account, readable by their owner only."""
        _write_private(self._demo, document)

    def _refuse_unless_locked(self, descriptor: int, kind: int) -> None:
        if not wait_until(lambda: _locked(descriptor, kind), OCCUPY_WITHIN_S):
            pid = os.read(descriptor, LOCK_CHARS_MAX).decode().strip()
            raise Failure(
                f"{self.directory} is in use by a running Writer (process {pid or 'unknown'})."
            )

    @contextmanager
    def _readable_refusal(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Failure(f"Cannot write to {self.directory}: {error.strerror}.") from error


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _write_private(path: Path, document: Mapping[str, Any]) -> None:
    """All or nothing: a reader never meets half a document."""
    scratch = path.with_name(f"{path.name}.new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
