"""A nats-server of a test's own: faster than the one of `up`, which makes every event durable."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy.engine import make_url

START_TIMEOUT_S = 10.0
NATS_SERVER = Path(sys.executable).with_name("nats-server")


class NatsServer:
    """A nats-server with JetStream; keeps its port and its data when it is started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = -1
        self._process = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        command = [NATS_SERVER, "-js", "-sd", self._directory / "data", "-a", "127.0.0.1"]
        command += ["-p", str(self._port), "--ports_file_dir", self._directory]
        log = (self._directory / "log").open("a")
        with log:
            self._process = subprocess.Popen([str(part) for part in command], stderr=log)
        ports = self._directory / f"nats-server_{self._process.pid}.ports"
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (ports.exists() and ports.read_text().strip()):
            assert time.monotonic() < deadline, (self._directory / "log").read_text()
            assert self._process.poll() is None, (self._directory / "log").read_text()
            time.sleep(0.005)
        [url] = json.loads(ports.read_text())["nats"]
        self._port = make_url(url).port

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self.thaw()
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    def freeze(self) -> None:
        """Back when every thread stands still: a signal alone takes its time to arrive."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)
