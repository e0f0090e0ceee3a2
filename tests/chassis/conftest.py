"""Real servers for the chassis: a nats-server a test, databases with the plumbing tables."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from sqlalchemy.engine import make_url
from support import scripted
from support.serving import serve, user
from writer.tasks.v1 import runs_pb2_grpc, tasks_pb2_grpc

from chassis import bus as bus_module
from chassis.bus import Bus
from chassis.database import open_database
from chassis.errors import Refusal
from chassis.plumbing import new_metadata

OWNER_IN_SECTOR = user(site_id="site", sector_id="sector", sector_name="Sector")
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


@pytest.fixture
def nats_server(tmp_path):
    directory = tmp_path / "nats"
    directory.mkdir()
    server = NatsServer(directory)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def bus(nats_server, monkeypatch):
    monkeypatch.setattr(bus_module, "PUBLISH_TIMEOUT_S", 1.0)
    opened = Bus(nats_server.url, "tests")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_database(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/service.db")
    await database.write(lambda connection: new_metadata().create_all(connection))
    yield database
    await database.close()


@pytest.fixture
async def postgres_database(postgres):
    name = postgres.create()
    database = open_database(postgres.url(name))
    await database.write(lambda connection: new_metadata().create_all(connection))
    yield database
    await database.close()
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """Each of the two databases in turn, with the plumbing tables."""
    name = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    return request.getfixturevalue(name)


@pytest.fixture
def eventually():
    """Waits until a condition holds; fails after a deadline."""

    async def wait(condition, timeout_s=10.0):
        deadline = time.monotonic() + timeout_s
        while not (result := condition()):
            assert time.monotonic() < deadline, "it did not come true in time"
            await asyncio.sleep(0.01)
        return result

    return wait


@pytest.fixture
async def starting():
    """Starts relays and consumers, and stops them before bus and database are closed."""
    async with contextlib.AsyncExitStack() as stack:

        def start(runnable):
            runnable.start()
            stack.push_async_callback(runnable.stop, 0.5)
            return runnable

        yield start


# Servicers that do what an id says, behind all layers, for tests of what is around a servicer.


@pytest.fixture
def tasks():
    return scripted.Tasks()


@pytest.fixture
async def served(tasks):
    async with serve(scripted.servicers(tasks), "tasks") as served:
        yield served


@pytest.fixture
def call(served):
    """Calls a method by its name as somebody; the service's name follows from the request."""
    peer = served.peer("gateway")
    stubs = [
        peer.stub(stub) for stub in (tasks_pb2_grpc.TaskServiceStub, runs_pb2_grpc.RunServiceStub)
    ]

    async def call(method, request, who=OWNER_IN_SECTOR, **options):
        [stub] = [stub for stub in stubs if hasattr(stub, method)]
        through = peer if who.issuer == "gateway" else served.peer(who.issuer)
        if through is not peer:
            stub = through.stub(type(stub))
        return await through.call(getattr(stub, method), request, who, **options)

    return call


@pytest.fixture
def refused(call):
    async def refused(method, request, who=OWNER_IN_SECTOR, **options):
        with pytest.raises(Refusal) as caught:
            await call(method, request, who, **options)
        return caught.value

    return refused


@pytest.fixture
async def channel(served):
    async with grpc.aio.insecure_channel(served.address) as channel:
        yield channel
