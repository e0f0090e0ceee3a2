"""One process from its start to its end: one sentence when it cannot start, nothing lost after."""

import asyncio
import functools
import os
import signal
import socket
from contextlib import suppress

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.serving import user
from writer.tasks.v1 import tasks_pb2, tasks_pb2_grpc

from chassis import process, telemetry
from chassis.bus import Bus
from chassis.caller import Signer
from chassis.client import Peer
from chassis.errors import Unavailable
from chassis.keys import create_keys, load_signing_key
from chassis.migrate import upgrade
from chassis.process import Parts
from chassis.settings import Settings, SettingsError

WITHIN_S = 15.0
ADD = tasks_pb2_grpc.add_TaskServiceServicer_to_server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def variables(tmp_path):
    """What a process needs; nothing listens at its NATS."""
    create_keys(tmp_path / "keys", ["tasks", "gateway"])
    return {
        "WRITER_LISTEN": f"127.0.0.1:{free_port()}",
        "WRITER_DATABASE_URL": f"sqlite:///{tmp_path}/tasks.db",
        "WRITER_NATS_URL": f"nats://127.0.0.1:{free_port()}",
        "WRITER_SIGNING_KEY": str(tmp_path / "keys" / "tasks.pem"),
        "WRITER_TRUSTED_KEYS": str(tmp_path / "keys" / "trusted.json"),
        "WRITER_MIGRATE": "1",
    }


@pytest.fixture
def closed():
    return []


@pytest.fixture
def wire(tasks, closed):
    """A service with a servicer, a loop that fails at first, and something to close."""
    tasks.rounds = 0

    async def loop():
        tasks.rounds += 1
        if tasks.rounds < 3:
            raise LookupError("a round that fails")
        await asyncio.Event().wait()

    async def close():
        closed.append(tasks.ended.is_set())

    return lambda _host: Parts([(ADD, tasks)], loops=[loop], close=[close])


async def serving(address):
    """Returns when the process says that it serves."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            with suppress(grpc.aio.AioRpcError):
                answer = await stub.Check(health_pb2.HealthCheckRequest())
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            await asyncio.sleep(0.02)


class TestRunning:
    @pytest.fixture
    def settings(self, variables, nats_server):
        upgrade(variables["WRITER_DATABASE_URL"], "services.tasks")
        return Settings.from_env("tasks", variables | {"WRITER_NATS_URL": nats_server.url})

    @pytest.fixture
    async def running(self, settings, wire, monkeypatch):
        """The process, ready; it is ended by SIGTERM at the latest."""
        monkeypatch.setattr(process, "LOOP_RESTART_S", 0.01)
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        task = asyncio.create_task(process.serve(settings, wire))
        ready = asyncio.create_task(serving(settings.listen))
        await asyncio.wait({task, ready}, timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await task
        yield task
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(task, WITHIN_S)
        signal.signal(signal.SIGTERM, before)

    @pytest.fixture
    async def peer(self, settings, tmp_path):
        key = load_signing_key(tmp_path / "keys" / "gateway.pem")
        peer = Peer("tasks", settings.listen, Signer("gateway", key))
        yield peer
        await peer.close()

    async def test_it_drains_when_it_is_told_to_stop(self, running, peer, tasks, closed):
        stub = peer.stub(tasks_pb2_grpc.TaskServiceStub)
        request = tasks_pb2.GetTaskRequest(id="slow")
        slow = asyncio.create_task(peer.call(stub.GetTask, request, user()))
        await asyncio.wait_for(tasks.started.wait(), WITHIN_S)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
        assert not running.done()
        assert closed == []
        tasks.go_on.set()
        assert (await asyncio.wait_for(slow, WITHIN_S)).id == "slow"
        await asyncio.wait_for(running, WITHIN_S)
        assert closed == [True]

    @pytest.mark.usefixtures("running")
    async def test_a_loop_that_fails_is_started_again(self, tasks, eventually):
        await eventually(lambda: tasks.rounds == 3)


class TestNotStarting:
    @pytest.fixture(autouse=True)
    def _keep_logging_as_it_is(self, monkeypatch):
        monkeypatch.setattr(telemetry, "set_up_logging", lambda *_: None)

    @pytest.fixture
    def sentence(self, variables, wire, monkeypatch):
        """What the process says when it is run with some variables changed."""

        def sentence(**changes):
            for name, value in (variables | changes).items():
                if value is None:
                    monkeypatch.delenv(name, raising=False)
                else:
                    monkeypatch.setenv(name, value)
            with pytest.raises(SystemExit) as caught:
                process.run("tasks", wire)
            [line] = str(caught.value).splitlines()
            assert line.startswith("tasks: ")
            return line

        return sentence

    @pytest.mark.parametrize(
        ("variable", "value", "said"),
        [
            ("WRITER_NATS_URL", None, "WRITER_NATS_URL is not set"),
            ("WRITER_LOG_LEVEL", "LOUD", "WRITER_LOG_LEVEL"),
            ("WRITER_SIGNING_KEY", "/nowhere/tasks.pem", "/nowhere/tasks.pem"),
            ("WRITER_SIGNING_KEY", "/dev/null", "/dev/null"),
            ("WRITER_TRUSTED_KEYS", "/nowhere/trusted.json", "/nowhere/trusted.json"),
            ("WRITER_TRUSTED_KEYS", "/dev/null", "WRITER_TRUSTED_KEYS"),
            ("WRITER_DATABASE_URL", "mysql://user:hunter2@db/tasks", "WRITER_DATABASE_URL"),
            ("WRITER_DATABASE_URL", "hunter2", "WRITER_DATABASE_URL"),
            ("WRITER_DATABASE_URL", "sqlite:////nowhere/hunter2.db", "database"),
            ("WRITER_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/tasks", "database"),
        ],
    )
    def test_it_says_in_one_sentence_what_is_wrong(self, sentence, variable, value, said):
        told = sentence(**{variable: value})
        assert said in told
        assert "hunter2" not in told

    def test_a_taken_port_is_named(self, sentence):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            assert address in sentence(WRITER_LISTEN=address)

    def test_it_does_not_wait_for_nats_for_ever(self, sentence, monkeypatch):
        monkeypatch.setattr(Bus, "open", functools.partialmethod(Bus.open, timeout_s=0.2))
        assert "NATS" in sentence()

    async def test_what_was_begun_is_ended_when_nats_does_not_answer(
        self, variables, wire, monkeypatch
    ):
        monkeypatch.setattr(Bus, "open", functools.partialmethod(Bus.open, timeout_s=0.2))
        await asyncio.to_thread(upgrade, variables["WRITER_DATABASE_URL"], "services.tasks")
        settings = Settings.from_env("tasks", variables)
        with pytest.raises(Unavailable):
            await asyncio.wait_for(process.serve(settings, wire), WITHIN_S)
        host, port = settings.listen.split(":")
        with suppress(ConnectionRefusedError), socket.create_connection((host, int(port)), 1):
            pytest.fail("somebody still listens")

    async def test_a_peer_without_an_address_is_named(self, variables):
        async with process.hosting(Settings.from_env("tasks", variables)) as host:
            with pytest.raises(SettingsError, match="WRITER_PEER_BILLING is not set"):
                host.peer("billing")
