"""Real servers for the chassis: a nats-server a test, databases with the plumbing tables."""

import asyncio
import contextlib
import time

import grpc
import pytest
from sqlalchemy import text
from support import scripted
from support.nats import NatsServer
from support.serving import serve, user
from writer.tasks.v1 import runs_pb2_grpc, tasks_pb2_grpc

from chassis import bus as bus_module
from chassis.bus import Bus
from chassis.database import open_database
from chassis.errors import Refusal
from chassis.plumbing import new_metadata

OWNER_IN_SECTOR = user(site_id="site", sector_id="sector", sector_name="Sector")


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
def left_by_all():
    """Waits until no connection to a database is open but that which asks."""
    others = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid != pg_backend_pid()"
    )

    async def wait(url):
        database = open_database(url)
        async with asyncio.timeout(5):
            while await database.glance(lambda c: c.execute(others).scalar_one()):
                await asyncio.sleep(0.01)
        await database.close()

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
