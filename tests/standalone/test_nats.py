"""The nats-server that `up` and the tests use."""

import asyncio
import logging
import os
import subprocess
import sys
from urllib.parse import urlsplit

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from support.substitutes import eventually, is_alive

from chassis.bus import Bus
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
        assert one.port != two.port


async def test_a_server_is_closed_to_whoever_does_not_know_its_password(tmp_path):
    before = tmp_path / "nats.conf"
    before.write_text("left behind, and open to all")
    before.chmod(0o644)
    with NatsServer(tmp_path) as server:
        another = NatsServer(tmp_path / "never started")
        another.port = server.port
        for url in (f"nats://{server.address}", another.url):
            with pytest.raises(nats.errors.Error, match="Authorization"):
                await visit(url)
        await visit(server.url)
        password = urlsplit(server.url).password
        assert len(password) >= 32
        holders = [path for path in files(tmp_path) if password in path.read_text(errors="replace")]
        assert holders == [before]
        assert before.stat().st_mode & 0o777 == 0o600


async def test_clients_that_lose_the_server_do_not_log_its_password(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with NatsServer(tmp_path) as server:
        bus = Bus(server.url, "test")
        await bus.open()
        try:
            server.kill()
            await said(caplog, "no connection to NATS")
            # Somebody else on this port, who lets nobody in.
            stranger = NatsServer(tmp_path / "stranger")
            stranger.port = server.port
            caplog.clear()
            with stranger:
                await said(caplog, "Authorization Violation")
        finally:
            await bus.close()
    assert urlsplit(server.url).password not in caplog.text
    assert "writer:" not in caplog.text


async def visit(url):
    client = Client()
    try:
        await client.connect(url, allow_reconnect=False, error_cb=quiet)
    finally:
        await client.close()


async def said(caplog, words):
    async with asyncio.timeout(10):
        while words not in caplog.text:
            await asyncio.sleep(0.01)


async def quiet(_error):
    """The client would log what it raises as well."""


def files(directory):
    return [path for path in directory.rglob("*") if path.is_file()]


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
