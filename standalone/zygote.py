"""The process that all others come from: it imports everything once and forks on demand.

It has one thread and never opens a channel, a server or a loop, so forking it is safe at any
time, also to start a process again. It ends all its children when its own parent goes away,
and they are ended by the kernel (Linux) when it goes away itself.

Its parent speaks to it in JSON lines: an order is answered by `pid`; `ended` comes unasked.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any

from standalone import logs

ORDER_BYTES_MAX = 1_000_000
DESCRIPTORS_MAX = 4
END_POLL_S = 5.0
"""Longest sleep between two looks at the children; a signal normally ends it at once."""
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


def main(argv: Sequence[str]) -> None:
    """`argv`: descriptor of the socket, `fork` or `spawn`, modules to import."""
    parent = socket.socket(fileno=int(argv[0]))
    forking = argv[1] == "fork"
    if forking:
        for module in argv[2:]:
            importlib.import_module(module)
        # A collector that touches old objects would copy the pages that the children share.
        gc.collect()
        gc.freeze()
        forking = threading.active_count() == 1
    _Zygote(parent, forking=forking).serve()


class _Zygote:
    def __init__(self, parent: socket.socket, *, forking: bool) -> None:
        self._parent = parent
        self._forking = forking
        self._children: set[int] = set()
        self._heard = b""
        self._descriptors: list[int] = []
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)

    def serve(self) -> None:
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._tell(ready=True, forking=self._forking)
        try:
            ours = self._parent.fileno()
            while True:
                readable, _, _ = select.select([ours, self._wake], [], [], END_POLL_S)
                self._reap()
                if ours in readable and not self._hear():
                    return
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)

    def _hear(self) -> bool:
        """Carries out what has been ordered; False when there will be no more."""
        data, descriptors, _, _ = socket.recv_fds(self._parent, ORDER_BYTES_MAX, DESCRIPTORS_MAX)
        self._descriptors += descriptors
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return bool(data)

    def _obey(self, order: dict[str, Any]) -> None:
        if "signal" in order:
            # Children are reaped here alone, so this id cannot belong to anybody else.
            if order["pid"] in self._children:
                os.kill(order["pid"], order["signal"])
            return
        descriptors = self._descriptors[: order["descriptors"]]
        del self._descriptors[: order["descriptors"]]
        pid = os.fork()
        if pid == 0:
            self._become(order, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self._children.add(pid)
        self._tell(pid=pid)

    def _become(self, order: dict[str, Any], descriptors: list[int]) -> None:
        """Turns this new process into what was ordered. Does not return."""
        status = 1
        try:
            _die_with_parent(order["name"])
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for own in (self._parent.detach(), self._wake, self._waker):
                os.close(own)
            log = logs.open_log(order["log"])
            os.dup2(log, 1)
            os.dup2(log, 2)
            status = _run(order, descriptors, forking=self._forking)
        except BaseException:  # noqa: BLE001  nothing may escape into the zygote's own code
            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
        for pid in list(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._children.discard(pid)
                self._tell(ended=pid, status=os.waitstatus_to_exitcode(status))

    def _tell(self, **news: object) -> None:
        self._parent.sendall(json.dumps(news).encode() + b"\n")


def _run(order: dict[str, Any], descriptors: list[int], *, forking: bool) -> int:
    environment = dict(order["env"])
    if descriptors:
        os.set_inheritable(descriptors[0], True)  # noqa: FBT003  has no keyword
        environment["WRITER_LISTEN_FD"] = str(descriptors[0])
    module = order["module"]
    if order["command"] or not forking:
        runnable = module.removesuffix(".__main__")
        command = order["command"] or [sys.executable, "-P", "-m", runnable]
        os.execvpe(command[0], command, environment)  # noqa: S606
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module]
    try:
        importlib.import_module(module).main()
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    return 0


def _die_with_parent(name: str) -> None:
    if sys.platform != "linux":
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NAME, f"writer-{name}".encode()[:15])
    if os.getppid() != parent or parent == 1:
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
