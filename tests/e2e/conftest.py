"""The whole Writer over real HTTP; every test has accounts of its own in it."""

from contextlib import asynccontextmanager

import httpx
import pytest
from e2e.people import Writer
from support import postgresql
from support.whole import ENVIRONMENT

from standalone.plan import whole
from standalone.stack import Stack


@pytest.fixture
def stack_on_postgresql(postgres, tmp_path):
    """The same processes on five databases of PostgreSQL."""
    urls = postgresql.make_databases(postgres)
    with Stack(
        tmp_path / "data",
        environment=ENVIRONMENT,
        planner=lambda ground: postgresql.moved(whole(ground), urls),
        prepare=postgresql.ONLY_KEYS,
    ) as running:
        yield running
        assert running.ended() is None
        assert list(running.place.directory.glob("*.db")) == []


@asynccontextmanager
async def _met(stack):
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as client:
        yield Writer(client, stack)


@pytest.fixture
async def writer(stack):
    """The running Writer, as somebody without an account meets it."""
    async with _met(stack) as writer:
        yield writer


@pytest.fixture(params=["sqlite", "postgresql"])
def any_stack(request):
    """Once on each kind of database."""
    return request.getfixturevalue("stack" if request.param == "sqlite" else "stack_on_postgresql")


@pytest.fixture
async def any_writer(any_stack):
    """As `writer`, once on each kind of database."""
    async with _met(any_stack) as writer:
        yield writer


@pytest.fixture
async def account(writer):
    """A new account with its site, sector and one cluster."""
    return await writer.register()
