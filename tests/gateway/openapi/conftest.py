"""The document of a gateway before all services."""

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.bus import Bus
from chassis.caller import Signer
from gateway.app import build_app, build_upstream
from gateway.contracts import load_contracts
from gateway.streams.facts import Catalogue
from gateway.streams.hub import Hub, StreamBounds

PEERS = ("tasks", "content", "images", "billing", "identity")


@pytest.fixture(scope="session")
def contracts():
    return load_contracts()


@pytest.fixture
async def app(contracts):
    addresses = dict.fromkeys(PEERS, "127.0.0.1:1")
    signer = Signer("gateway", Ed25519PrivateKey.generate())
    upstream = build_upstream(contracts, addresses, signer)
    hub = Hub(Bus("nats://127.0.0.1:1", "test"), Catalogue(contracts), StreamBounds())
    yield build_app(contracts, upstream, authenticator=None, scopes=None, hub=hub)
    await upstream.close()


@pytest.fixture
async def client(app):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as opened:
        yield opened


@pytest.fixture
async def document(client):
    return (await client.get("/api/openapi.json")).json()


@pytest.fixture
def operations(document):
    """Operations by id, each with its verb and path."""
    return {
        operation["operationId"]: {**operation, "verb": verb.upper(), "path": path}
        for path, item in document["paths"].items()
        for verb, operation in item.items()
    }
