"""The nats-server that `up` and the tests use."""

import os
import subprocess
import sys

import nats
import pytest
from support.substitutes import eventually, is_alive

from standalone.failures import Failure
from standalone.nats import NatsServer


async def published(url, body):
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="KEPT", subjects=["kept.>"])
        await stream.publish("kept.one", body)
    finally:
        await client.close()


async def stored(url):
    client = await nats.connect(url)
    try:
        message = await client.jetstream().get_last_msg("KEPT", "kept.one")
    finally:
        await client.close()
    return message.data


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_the_port_and_acknowledged_messages_survive_an_end(tmp_path, ending):
    server = NatsServer(tmp_path / "a folder with “quotes” and spaces")
    with server:
        url, pid = server.url, server.pid
        await published(url, b"precious")

        getattr(server, ending)()
        assert not server.is_running
        server.start()

        assert server.url == url
        assert server.pid != pid
        assert await stored(url) == b"precious"


def test_two_servers_get_ports_of_their_own(tmp_path):
    with NatsServer(tmp_path / "one") as one, NatsServer(tmp_path / "two") as two:
        assert one.url != two.url


def test_a_port_that_somebody_took_meanwhile_is_said(tmp_path):
    server = NatsServer(tmp_path / "one").start()
    server.stop()
    usurper = NatsServer(tmp_path / "two")
    usurper.port = server.port
    with usurper, pytest.raises(Failure, match=f"port {server.port} taken"):
        server.start()
    assert not server.is_running


def test_a_server_that_cannot_start_is_said_with_its_own_words(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "jetstream").write_text("not a folder")
    with pytest.raises(
        Failure, match=r"^nats-server did not start: Can't start JetStream: storage directory"
    ):
        NatsServer(tmp_path).start()


def test_a_server_ends_with_the_process_that_started_it(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from standalone.nats import NatsServer\n"
        "print(NatsServer(Path(sys.argv[1])).start().pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    pid = int(done.stdout)
    eventually(lambda: not is_alive(pid), "nats-server ends")
