"""The gateway with its event streams on a real nats-server, over real HTTP."""

import asyncio
import contextlib
import dataclasses
import itertools
import socket
import time

import pytest
import pytest_asyncio
from support import sse
from support.nats import NatsServer
from writer.events.v1 import content_pb2, credits_pb2, generation_pb2
from writer.tasks.v1 import runs_pb2

from chassis import clock, ids
from chassis.bus import Bus, Publication
from chassis.events import Envelope, subject_of
from gateway.admission.principals import Principal
from gateway.contracts import load_contracts
from gateway.http.bounds import Bounds
from gateway.http.server import http_server, listening_socket
from gateway.streams.facts import Catalogue
from gateway.streams.hub import Hub, StreamBounds
from gateway.streams.session import Pace

USUAL = StreamBounds()
QUICK = Pace(heartbeat_s=0.2, recheck_s=0.1)
EVENTS = "/api/v1/events"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def nats(tmp_path_factory):
    """One server for all that do not harm it; every test has accounts of its own."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_nats(tmp_path):
    """One that a test may kill or empty."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()


@dataclasses.dataclass
class Gateway:
    """One process's worth: its port, its hub, the services behind it."""

    port: int
    hub: Hub
    stack: object
    http: object
    serving: asyncio.Task
    opened: list = dataclasses.field(default_factory=list)

    async def read(self, path=EVENTS, **options):
        stream = await sse.connect(self.port, path, **options)
        self.opened.append(stream)
        return stream

    async def hang_up(self):
        while self.opened:
            await self.opened.pop().closed()


class Teller:
    """Publishes events as the relays of the services do."""

    def __init__(self, bus, account):
        self.bus = bus
        self.account = account

    async def tell(self, *messages):
        batch = [_publication(message) for message in messages]
        async with asyncio.timeout(sse.WAIT_S):
            while not all(await self.bus.publish(batch)):
                await asyncio.sleep(0.02)

    def facts(self, count, *, account="", site="", kind=generation_pb2.GenerationStarted, **fields):
        """So many events, numbered by their field `attempt`."""
        return [
            kind(account_id=account or self.account, site_id=site or "s", attempt=number, **fields)
            for number in range(count)
        ]

    async def low(self, account=""):
        await self.tell(credits_pb2.CreditsLow(account_id=account or self.account, available=7))


def _publication(message):
    envelope = Envelope(
        event_id=ids.new_id(),
        type=message.DESCRIPTOR.full_name,
        time=clock.now(),
        request_id="request",
    )
    return Publication(subject_of(message), message.SerializeToString(), envelope.headers())


@pytest.fixture
def account():
    return f"account-{next(_numbers)}"


def credentials_of(account):
    """Readers of one account, and an owner of another."""
    roles = {"owner": None, "viewer": ("s",), "editor": ("s",)}
    known = {
        f"Bearer {role}": Principal(
            principal=f"user:{role}", role=role, account_id=account, allowed_sites=sites
        )
        for role, sites in roles.items()
    }
    stranger = dataclasses.replace(known["Bearer owner"], account_id=f"{account}-x")
    return {**known, "Bearer stranger": stranger}


@contextlib.asynccontextmanager
async def bus_to(url):
    bus = Bus(url, "tests")
    await bus.open()
    try:
        yield bus
    finally:
        await bus.close()


@pytest.fixture(scope="session")
def gateway_on(make_stack):
    """`async with gateway_on(url, account)`: a gateway as a process of its own would be."""

    @contextlib.asynccontextmanager
    async def opened(
        url, account="", *, bounds=USUAL, pace=QUICK, send_buffer_bytes=0, **http_bounds
    ):
        async with bus_to(url) as bus:
            hub = Hub(bus, Catalogue(load_contracts()), bounds)
            reading = asyncio.create_task(hub.run())
            listening = listening_socket("127.0.0.1:0")
            if send_buffer_bytes:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
            async with make_stack("tasks", hub=hub, pace=pace) as stack:
                stack.credentials.known = credentials_of(account)
                http = http_server(stack.app, Bounds(**http_bounds))
                serving = asyncio.create_task(http.serve(sockets=[listening]))
                gateway = Gateway(listening.getsockname()[1], hub, stack, http, serving)
                try:
                    yield gateway
                finally:
                    await gateway.hang_up()
                    hub.close()
                    http.should_exit = True
                    await serving
            reading.cancel()
            await asyncio.wait([reading])

    return opened


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shared(gateway_on, nats):
    """One gateway and one publisher for all tests that leave them as they were."""
    async with gateway_on(nats.url) as gateway, bus_to(nats.url) as bus:
        yield gateway, bus


@pytest_asyncio.fixture(loop_scope="package")
async def gateway(shared, account):
    gateway, _ = shared
    gateway.stack.credentials.known = credentials_of(account)
    yield gateway
    await gateway.hang_up()


@pytest.fixture
def teller(shared, account):
    return Teller(shared[1], account)


@pytest.fixture
def teller_on(account):
    """`async with teller_on(url)`: for a server of the test's own."""

    @contextlib.asynccontextmanager
    async def opened(url):
        async with bus_to(url) as bus:
            yield Teller(bus, account)

    return opened


@pytest.fixture
def eventually():
    async def wait(condition, timeout_s=sse.WAIT_S):
        deadline = time.monotonic() + timeout_s
        while not (result := condition()):
            assert time.monotonic() < deadline, "it did not come true in time"
            await asyncio.sleep(0.01)
        return result

    return wait


@pytest.fixture
def a_run():
    """A run with one generation that is being written."""
    return runs_pb2.Run(
        id="run-1",
        state=runs_pb2.Run.running,
        generations=[runs_pb2.Generation(id="gen-1", state=runs_pb2.Generation.running)],
        create_time={"seconds": int(clock.now().timestamp())},
    )


@pytest.fixture
def written(account):
    """The events of one generation, from its start to the end of its run."""
    tenant = {"account_id": account, "site_id": "s"}
    mine = {**tenant, "run_id": "run-1", "generation_id": "gen-1"}
    return [
        generation_pb2.GenerationStarted(**mine, attempt=1),
        content_pb2.ContentCreated(
            **tenant, content_id="content-1", generation_id="gen-1", status="draft"
        ),
        generation_pb2.GenerationSucceeded(**mine, content_id="content-1", word_count=100),
        content_pb2.ContentStatusChanged(
            **tenant, content_id="content-1", from_status="draft", to_status="review"
        ),
        generation_pb2.RunEnded(**tenant, run_id="run-1", state="succeeded"),
    ]


def numbers(events):
    """What `Teller.facts` counted."""
    return [event.data["data"]["attempt"] for event in events]
