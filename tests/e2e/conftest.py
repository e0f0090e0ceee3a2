"""One whole Writer a session, over real HTTP; every test has accounts of its own in it."""

import httpx
import pytest
from e2e.people import Writer

from standalone.stack import Stack

# Faults shall end soon, but the attempts together have room for a machine that is busy with
# something else; only stalls take all of it.
ENVIRONMENT = {
    "OPENAI_API_KEY": "",
    "OPENAI_BASE_URL": "",
    "WRITER_MODEL_ATTEMPTS": "3",
    "WRITER_MODEL_BUSY_ATTEMPTS": "3",
    "WRITER_MODEL_TIMEOUT_S": "3",
    "WRITER_MODEL_FIRST_DELAY_S": "0.05",
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """All five processes, nats-server and the offline model."""
    with Stack(tmp_path_factory.mktemp("writer"), environment=ENVIRONMENT) as running:
        yield running
        # A process that died would have been noticed by some test, but not named.
        assert running.ended() is None


@pytest.fixture
async def writer(stack):
    """The running Writer, as somebody without an account meets it."""
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as client:
        yield Writer(client, stack)


@pytest.fixture
async def account(writer):
    """A new account with its site, sector and one cluster."""
    return await writer.register()
