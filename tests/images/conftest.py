"""The images service over real databases and files, a real offline model, real gRPC peers.

Only the bus is short: `Stack.deliver` hands events to the service's own handlers as NATS
would, and `Stack.run` goes on until the service has nothing more to say to itself.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool, message_factory
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from sqlalchemy import select
from support.serving import serve
from writer.billing.v1 import prices_pb2, reservations_pb2, reservations_pb2_grpc
from writer.content.v1 import content_pb2, content_pb2_grpc
from writer.events.v1 import generation_pb2
from writer.images.v1 import images_pb2_grpc
from writer.types.v1 import types_pb2

from chassis import caller
from chassis.consumers import Delivery
from chassis.errors import Kind, NotFound, Refusal
from chassis.events import durable_name
from chassis.ids import new_id
from chassis.model import Model
from chassis.outbox import Outbox
from chassis.retry import RetryPolicy
from services.images.consumers import Consumers
from services.images.files import Files
from services.images.peers import Billing, Contents
from services.images.providers import illustrator
from services.images.providers.illustrator import Illustrator
from services.images.schema import image_sets, images, metadata
from services.images.service.library import Library
from services.images.service.pictures import Pictures
from services.images.service.sets import Sets
from services.images.servicer import ImageServicer

ROOT = Path(__file__).resolve().parents[2]
START_WITHIN_S = 20.0
QUICK = RetryPolicy(attempts_max=3, attempt_s=5, first_delay_s=0.005, delay_max_s=0.01)
TENANT = {"account_id": "acme", "site_id": "site", "sector_id": "sector"}
OPEN, COMMITTED = reservations_pb2.Reservation.open, reservations_pb2.Reservation.committed
PRICES = {
    prices_pb2.Operation.image_prompt_extraction: 2,
    prices_pb2.Operation.image_generation: 1,
}


@pytest.fixture(scope="session")
def offline_model():
    """Base URL of a running offline model."""
    command = [sys.executable, "-m", "standalone.offline_model", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("offline model ready on http://")
        yield line.split()[-1]
        process.terminate()
        process.wait(START_WITHIN_S)


class BillingDesk(reservations_pb2_grpc.ReservationServiceServicer):
    """Holds credits as the contract says: by key, all or none, the same answer again."""

    def __init__(self):
        self.credits = 100
        self.held = {}
        self.down = False

    def hold_expired(self, key):
        """A reservation that went back long ago."""
        expired = reservations_pb2.Reservation.expired
        self.held[key] = reservations_pb2.Reservation(id=new_id(), key=key, state=expired)

    async def ReserveCredits(self, request, _context):  # noqa: N802
        assert caller.current().principal == "service:images"
        if self.down:
            raise Refusal(Kind.INTERNAL, "INTERNAL", "out of order")
        new = {
            item.key: reservations_pb2.Reservation(
                id=new_id(), key=item.key, state=OPEN, operation_type=item.operation_type
            )
            for item in request.items
            if item.key not in self.held
        }
        price = sum(PRICES[each.operation_type] for each in new.values())
        if price > self.credits:
            raise Refusal(Kind.FAILED_PRECONDITION, "INSUFFICIENT_CREDITS", "too few credits")
        self.credits -= price
        self.held |= new
        found = [self.held[item.key] for item in request.items]
        return reservations_pb2.ReserveCreditsResponse(reservations=found)


class ContentDesk(content_pb2_grpc.ContentServiceServicer):
    """Contents by id."""

    def __init__(self):
        self.contents = {}

    async def GetContent(self, request, _context):  # noqa: N802
        if request.id not in self.contents:
            raise NotFound("content", request.id)
        return self.contents[request.id]


@pytest.fixture
def real_sizes():
    """Pictures as large as in production, which costs most of a second each."""


@pytest.fixture(autouse=True)
def small_pictures(request, monkeypatch):
    """Pictures of stamp size, unless a test asks for real ones."""
    if "real_sizes" not in request.fixturenames:
        monkeypatch.setattr(illustrator, "SIZES", {})
        monkeypatch.setattr(illustrator, "SIZE_DEFAULT", "96x64")


class Stack:
    """The service, its surroundings and a look at what came out."""

    def __init__(self, database, files_folder, model, billing, contents):
        self.database = database
        self.folder = files_folder
        self.heard = set()
        self._model = model
        self.billing, billing_peer = billing
        self.contents, content_peer = contents
        self._peers = (billing_peer, content_peer)
        self.assemble(database)

    @staticmethod
    def policy(**changes):
        """The quick policy, with other bounds."""
        return replace(QUICK, **changes)

    def assemble(self, database, outbox=None):
        """Wires the service anew, as a restart does."""
        files = Files(self.folder.as_uri())
        drawer = Illustrator(self._model, text_model="text", image_model="pictures")
        billing, contents = Billing(self._peers[0]), Contents(self._peers[1])
        outbox = outbox or Outbox("images")
        self.sets = Sets(database, outbox, billing, contents, drawer)
        self.pictures = Pictures(database, outbox, drawer, files)
        self.library = Library(database, files)
        self.subscriptions = {
            each.message_type: each for each in Consumers(self.sets, self.pictures).subscriptions()
        }

    def text_written(self, title="How to choose a desk", stop_after="images", **tenant):
        """A content, and the event that tells of it."""
        content_id = new_id()
        self.contents.contents[content_id] = content_pb2.Content(
            id=content_id,
            title=title,
            excerpt="What to look at.",
            content_html="<p>x</p><h2>Height</h2><p>y</p><h3>Cable &amp; light</h3>",
        )
        return generation_pb2.GenerationSucceeded(
            **(TENANT | tenant),
            run_id="run",
            generation_id=new_id(),
            task_id="task",
            content_id=content_id,
            stop_after=types_pb2.Stage.Value.Value(stop_after),
            request_id="request",
        )

    async def deliver(self, message, event_id="event", attempt=1):
        subscription = self.subscriptions[type(message)]
        await subscription.handle(_delivery(message, event_id, attempt))

    async def give_up(self, message):
        await self.subscriptions[type(message)].give_up(_delivery(message, "event", 6), "reason")

    async def events(self, message_type=None):
        """What was told, in order, with the ids of the events."""
        table = metadata.tables["outbox"]
        rows = await self._rows(select(table).order_by(table.c.sequence))
        found = [(row.event_id, _message(row)) for row in rows]
        return [each for each in found if message_type in (None, type(each[1]))]

    async def told(self, message_type):
        return [message for _, message in await self.events(message_type)]

    async def run(self, *, attempts_max=1):
        """Delivers the service's own events until it is quiet; repeats those that fail."""
        while waiting := [e for e in await self._own_events() if e[0] not in self.heard]:
            for event_id, message in waiting:
                await self._deliver_bounded(event_id, message, attempts_max)
                self.heard.add(event_id)

    async def start(self, message, *, attempts_max=1):
        """Delivers the event from outside, then runs."""
        await self._deliver_bounded(f"start-{message.generation_id}", message, attempts_max)
        await self.run(attempts_max=attempts_max)

    async def images(self):
        return await self._rows(select(images).order_by(images.c.image_type, images.c.position))

    async def sets_(self):
        return await self._rows(select(image_sets))

    def files(self):
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    async def _own_events(self):
        return [e for e in await self.events() if type(e[1]) in self.subscriptions]

    async def _deliver_bounded(self, event_id, message, attempts_max):
        for attempt in range(1, attempts_max + 1):
            try:
                await self.deliver(message, event_id, attempt)
            except Exception:
                if attempt == attempts_max:
                    raise
            else:
                return

    async def _rows(self, statement):
        return await self.database.read(lambda c: c.execute(statement).all())


def _delivery(message, event_id, attempt):
    return Delivery(
        event_id=event_id[:36],
        message=message,
        attempt=attempt,
        consumer=durable_name("images", type(message)),
        request_id=message.request_id,
    )


def _message(row):
    found = descriptor_pool.Default().FindMessageTypeByName(row.type)
    return message_factory.GetMessageClass(found).FromString(row.payload)


@pytest.fixture
async def stack(make_database, tmp_path, offline_model):
    model = Model(base_url=offline_model, api_key="any", policy=QUICK)
    # Nothing is encrypted on loopback, and reading the certificates for each test takes its time.
    model._client = AsyncOpenAI(
        base_url=offline_model,
        api_key="any",
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(verify=False),
    )
    billing, contents = BillingDesk(), ContentDesk()
    add_billing = reservations_pb2_grpc.add_ReservationServiceServicer_to_server
    add_content = content_pb2_grpc.add_ContentServiceServicer_to_server
    async with (
        serve([(add_billing, billing)], "billing") as served_billing,
        serve([(add_content, contents)], "content") as served_contents,
    ):
        yield Stack(
            await make_database("services.images"),
            tmp_path / "files",
            model,
            (billing, served_billing.peer("images")),
            (contents, served_contents.peer("images")),
        )
        await model.close()


class Edge:
    """The service's own gRPC edge, called by whoever a caller says."""

    def __init__(self, served):
        self._peers = {issuer: served.peer(issuer) for issuer in ("gateway", "content")}

    async def call(self, name, request, who):
        return await self._peers[who.issuer].call(self._method(name, who), request, who)

    def stream(self, name, request, who):
        metadata = self._peers[who.issuer].metadata(who)
        return self._method(name, who)(request, metadata=metadata, timeout=10)

    def _method(self, name, who):
        return getattr(self._peers[who.issuer].stub(images_pb2_grpc.ImageServiceStub), name)


@pytest.fixture
async def service(stack):
    add = images_pb2_grpc.add_ImageServiceServicer_to_server
    async with serve([(add, ImageServicer(stack.library))], "images") as served:
        yield Edge(served)
