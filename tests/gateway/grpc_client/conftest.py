"""Channels to real servers of both kinds and to a scripted one, and proof that nothing is left."""

import asyncio
import contextlib
import gc

import grpc
import pytest
from support.raw_grpc import RawServer

from chassis import native
from gateway.grpc_client import Channel
from gateway.grpc_client.connection import Connection

ENGINES = {"grpcio": grpc.aio, "native": native}
SERVICE = "test.Things"
BYTES_MAX = 16 * 1024 * 1024


class Things:
    """What the service of these tests does; it remembers what it saw."""

    def __init__(self):
        self.seen = []
        self.ended = []
        self.sent = 0
        self.gate = asyncio.Event()

    async def echo(self, request, context):
        self.seen.append(request)
        self.metadata = dict(context.invocation_metadata())
        self.time_left_s = context.time_remaining()
        return request

    async def refuse(self, request, context):
        self.seen.append(request)
        context.set_trailing_metadata((("grpc-status-details-bin", request),))
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "Tëa is öut: 100 % ☕\nsorry")

    async def away(self, request, context):
        self.seen.append(request)
        if len(self.seen) < 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return request

    async def wait(self, request, _context):
        """Until the gate is opened."""
        self.seen.append(request)
        try:
            await self.gate.wait()
        finally:
            self.ended.append(request)
        return request

    async def big(self, request, _context):
        """As many bytes as it is asked for."""
        return b"x" * int(request)

    async def count(self, request, context):
        """Parts of 64 KiB, as many as it is asked for; then a refusal when it is an odd number."""
        try:
            for number in range(int(request)):
                yield number.to_bytes(4) * 16_384
                self.sent += 1
            if int(request) % 2:
                await context.abort(grpc.StatusCode.DATA_LOSS, "odd")
        finally:
            self.ended.append(request)


class Service:
    """A real server with Things, which can be stopped and started again on its port."""

    def __init__(self, engine, port=0):
        self._engine = ENGINES[engine]
        self.port = port
        self.things = Things()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    async def start(self):
        options = [
            ("grpc.max_receive_message_length", BYTES_MAX),
            ("grpc.max_send_message_length", 2 * BYTES_MAX),
            ("grpc.so_reuseport", 0),
        ]
        self._server = self._engine.server(options=options)
        things = self.things
        handlers = {
            name.capitalize(): grpc.unary_unary_rpc_method_handler(getattr(things, name))
            for name in ("echo", "refuse", "away", "wait", "big")
        }
        handlers["Count"] = grpc.unary_stream_rpc_method_handler(things.count)
        self._server.add_registered_method_handlers(SERVICE, handlers)
        self.port = self._server.add_insecure_port(self.address)
        await self._server.start()

    async def stop(self, grace_s=None):
        await self._server.stop(grace_s)


@pytest.fixture(params=list(ENGINES))
def engine(request):
    return request.param


@pytest.fixture
async def service(engine):
    running = Service(engine)
    await running.start()
    yield running
    running.things.gate.set()
    await running.stop()


@pytest.fixture(scope="module")
def complaints():
    """What event loops complain of."""
    found = []
    yield found
    # A future whose exception nobody has fetched says so when it is collected.
    gc.collect()
    assert not found


@pytest.fixture
async def open_channel(monkeypatch, complaints):
    """`open_channel(address)`: a channel of which nothing may be left when the test is over."""
    connections, channels, calls = [], [], []
    init, start = Connection.__init__, Connection.start

    def noted(self, *arguments):
        connections.append(self)
        init(self, *arguments)

    def started(self, call, block, message):
        start(self, call, block, message)
        calls.append(call)

    monkeypatch.setattr(Connection, "__init__", noted)
    monkeypatch.setattr(Connection, "start", started)
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: complaints.append(what))

    def open_one(address):
        channels.append(Channel(address))
        channels[-1].connections = connections
        return channels[-1]

    yield open_one
    for each in channels:
        await each.close()
    async with asyncio.timeout(5):
        while not all(each._doubt is None or each._doubt.cancelled() for each in connections):
            await asyncio.sleep(0.001)
    for each in connections:
        assert not each._calls
        assert not each.places._waiting
    assert all(each.timer.cancelled() for each in calls)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not {name for name in names if name.startswith("to 127.")}


@pytest.fixture
def call(service, open_channel):
    """`await call("Echo", b"…")` of the real service."""
    channel = open_channel(service.address)

    async def one(name, request, *, is_read=False, timeout_s=5.0, metadata=()):
        method = channel.method(f"/{SERVICE}/{name}", is_read=is_read)
        return await method(request, metadata, timeout_s)

    one.channel = channel
    return one


@pytest.fixture
async def raw(open_channel):
    """`method = await raw(script)`: an RPC of a server that follows a script."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(script, *, is_read=False):
            server = RawServer(script)
            await server.start()
            stack.push_async_callback(server.stop)
            channel = open_channel(server.address)
            # Whoever follows a script hears of the end, and comes to its own.
            stack.push_async_callback(channel.close)
            method = channel.method(f"/{SERVICE}/Any", is_read=is_read)
            method.server = server
            return method

        yield start


@pytest.fixture
def answering(raw):
    """`await answering(frames)`: one call whose answer is what `frames(stream)` says."""

    async def one(frames, *, timeout_s=5.0, split=0):
        async def script(peer):
            await peer.greet()
            stream, _ = await peer.call()
            wire = frames(stream)
            for at in range(0, len(wire), split or len(wire)):
                peer.send(wire[at : at + (split or len(wire))])
                await asyncio.sleep(0)
            while await peer.frame() is not None:
                pass

        method = await raw(script)
        return await method(b"?", (), timeout_s)

    return one
