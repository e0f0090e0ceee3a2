"""Starting and stopping: in a process of its own, and in a child that was given a socket."""

from __future__ import annotations

import multiprocessing
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

from standalone.offline_model.__main__ import main
from standalone.offline_model.server import serve

ROOT = Path(__file__).resolve().parents[3]
STOP_WITHIN_S = 5.0


def listening() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


def test_a_child_serves_on_a_socket_it_was_given_and_stops_in_the_middle_of_a_stall() -> None:
    sock = listening()
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(sock,))
    child.start()
    sock.close()
    assert httpx.get(f"{url}/healthz", timeout=20).text == "ok"
    failures: list[httpx.HTTPError] = []

    def ask() -> None:
        try:
            httpx.post(
                f"{url}/v1/images/generations",
                json={"prompt": "[[offline:stall]]"},
                headers={"Authorization": "Bearer any"},
                timeout=20,
            )
        except httpx.HTTPError as failure:
            failures.append(failure)

    asking = threading.Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + STOP_WITHIN_S
    while not httpx.get(f"{url}/offline/requests").json():
        assert time.monotonic() < deadline
    child.terminate()
    child.join(STOP_WITHIN_S)
    asking.join(STOP_WITHIN_S)
    assert child.exitcode == 0
    assert len(failures) == 1


def test_a_port_in_use_is_told_in_one_sentence(capsys) -> None:
    with listening() as sock:
        port = sock.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert f"cannot use port {port}" in told.err


def test_importing_the_server_does_not_import_the_drawing_library() -> None:
    code = "import sys, standalone.offline_model.server as s; print('PIL' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
