"""The gateway before services that answer by a script, over real gRPC with the real layers."""

import contextlib
import dataclasses

import httpx
import pytest
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from writer.billing.v1 import budgets_pb2_grpc
from writer.content.v1 import clusters_pb2_grpc, content_pb2_grpc
from writer.identity.v1 import identity_pb2_grpc, sites_pb2_grpc
from writer.images.v1 import images_pb2, images_pb2_grpc
from writer.tasks.v1 import runs_pb2_grpc, tasks_pb2, tasks_pb2_grpc

from chassis import caller
from chassis.caller import Signer, Verifier
from chassis.errors import Forbidden, InvalidFields, Unauthenticated, Violation
from chassis.server import Server
from gateway.admission.principals import Principal, Scope
from gateway.app import build_app, build_upstream
from gateway.contracts import load_contracts

ACCOUNT = "0199aaaa-0000-7000-8000-000000000001"
SITE = "0199aaaa-0000-7000-8000-00000000051e"
SECTOR = "0199aaaa-0000-7000-8000-0000000005ec"
OTHER_SITE = "0199aaaa-0000-7000-8000-00000000051f"
SERVICERS = {
    "billing": (
        (
            budgets_pb2_grpc.add_BudgetServiceServicer_to_server,
            budgets_pb2_grpc.BudgetServiceServicer,
        ),
    ),
    "tasks": (
        (tasks_pb2_grpc.add_TaskServiceServicer_to_server, tasks_pb2_grpc.TaskServiceServicer),
        (runs_pb2_grpc.add_RunServiceServicer_to_server, runs_pb2_grpc.RunServiceServicer),
    ),
    "content": (
        (
            content_pb2_grpc.add_ContentServiceServicer_to_server,
            content_pb2_grpc.ContentServiceServicer,
        ),
        (
            clusters_pb2_grpc.add_ClusterServiceServicer_to_server,
            clusters_pb2_grpc.ClusterServiceServicer,
        ),
    ),
    "images": (
        (images_pb2_grpc.add_ImageServiceServicer_to_server, images_pb2_grpc.ImageServiceServicer),
    ),
    "identity": (
        (
            identity_pb2_grpc.add_IdentityServiceServicer_to_server,
            identity_pb2_grpc.IdentityServiceServicer,
        ),
        (sites_pb2_grpc.add_SiteServiceServicer_to_server, sites_pb2_grpc.SiteServiceServicer),
    ),
}


def pytest_asyncio_loop_factories(config, item):
    """The event loop that the gateway has: buffers, pauses and aborts are not asyncio's own."""
    return {"uvloop": uvloop.new_event_loop}


@dataclasses.dataclass
class Heard:
    """What a service saw of one call."""

    method: str
    request: object
    metadata: list
    who: caller.Caller
    time_left_s: float


class Backend:
    """Services whose answers a test sets by method; they remember what they heard."""

    def __init__(self):
        self.answers = {}
        self.heard = []

    def servicer(self, base):
        methods = [name for name in vars(base) if name[0].isupper()]
        return type("Scripted", (base,), {name: self._method(name) for name in methods})()

    def _method(self, name):
        if name == "GetImageFile":
            return self._stream(name)

        async def unary(_self, request, context):
            self._hear(name, request, context)
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            return await answer(request, context) if callable(answer) else answer

        return unary

    def _stream(self, name):
        async def stream(_self, request, context):
            self._hear(name, request, context)
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            for chunk in await answer() if callable(answer) else answer:
                yield chunk

        return stream

    def _hear(self, name, request, context):
        self.heard.append(
            Heard(
                name,
                request,
                list(context.invocation_metadata()),
                caller.current(),
                context.time_remaining(),
            )
        )

    @property
    def last(self):
        return self.heard[-1]


class Credentials:
    """Knows credentials by heart; stands for identity, which has its own tests."""

    def __init__(self):
        self.known = {
            "Bearer owner": Principal(principal="user:1", role="owner", account_id=ACCOUNT),
            "Bearer viewer": Principal(
                principal="user:2", role="viewer", account_id=ACCOUNT, allowed_sites=(SITE,)
            ),
            "ApiKey editor": Principal(principal="key:1", role="editor", account_id=ACCOUNT),
        }
        self.asked = 0

    async def authenticate(self, authorization):
        self.asked += 1
        known = self.known.get(authorization)
        if isinstance(known, Exception):
            raise known
        if known is None:
            raise Unauthenticated
        return known


class Sites:
    """One site with one sector, and one site that the viewer was not granted."""

    async def resolve(self, principal, site_id, sector_id, **_options):
        if site_id == OTHER_SITE and principal.allowed_sites is not None:
            raise Forbidden("SITE_FORBIDDEN", "You have no access to this site.")
        if site_id not in {"", SITE, OTHER_SITE}:
            raise InvalidFields(Violation("site_id", "there is no such site"))
        if sector_id not in {"", SECTOR}:
            raise InvalidFields(Violation("sector_id", "there is no such sector"))
        return Scope(
            site_id=site_id or SITE, sector_id=sector_id, sector_name="News" if sector_id else ""
        )


@dataclasses.dataclass
class Stack:
    app: object
    client: httpx.AsyncClient
    backend: Backend
    credentials: Credentials
    servers: dict
    account: str = ACCOUNT
    site: str = SITE
    sector: str = SECTOR
    other_site: str = OTHER_SITE

    @property
    def scope(self):
        return {"site_id": SITE, "sector_id": SECTOR}


@contextlib.asynccontextmanager
async def open_stack(*peers, **options):
    """A gateway and the named services on free ports."""
    backend, key = Backend(), Ed25519PrivateKey.generate()
    servers = {}
    for peer in peers:
        verifier = Verifier({"gateway": key.public_key()}, peer)
        servicers = [(add, backend.servicer(base)) for add, base in SERVICERS[peer]]
        servers[peer] = Server("127.0.0.1:0", servicers, verifier)
        await servers[peer].start()
        await servers[peer].ready()
    addresses = {peer: f"127.0.0.1:{server.port}" for peer, server in servers.items()}
    contracts = load_contracts()
    signer = Signer("gateway", key)
    upstream = build_upstream(contracts, addresses, signer, options.get("metrics"))
    credentials = Credentials()
    app = build_app(contracts, upstream, credentials, Sites(), **options)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": "Bearer owner"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway.test", headers=headers
    ) as client:
        yield Stack(app, client, backend, credentials, servers)
    await upstream.close()
    for server in servers.values():
        await server._server.stop(None)


@pytest.fixture
async def stack():
    async with open_stack("tasks", "identity") as opened:
        yield opened


@pytest.fixture(scope="session")
def make_stack():
    return open_stack


@pytest.fixture
def client(stack):
    return stack.client


@pytest.fixture
def backend(stack):
    return stack.backend


@pytest.fixture
def task():
    return tasks_pb2.Task(
        id="0199aaaa-0000-7000-8000-000000000777",
        etag="r1",
        title="Tëa & <cups>",
        status=tasks_pb2.Task.queued,
        word_count=900,
        create_time={"seconds": 1_767_225_600, "nanos": 5_000_000},
    )


@pytest.fixture
def brief():
    return {
        "title": "Tea",
        "cluster_id": "0199aaaa-0000-7000-8000-0000000000c1",
        "content_type": "post",
        "content_structure": "guide",
    }


@pytest.fixture
def picture():
    data = bytes(range(256)) * 1000
    first = images_pb2.ImageFileChunk(
        mime_type="image/png", sha256="ab" * 32, total_bytes=len(data), data=data[:65536]
    )
    rest = [
        images_pb2.ImageFileChunk(data=data[start : start + 65536])
        for start in range(65536, len(data), 65536)
    ]
    return data, [first, *rest]
