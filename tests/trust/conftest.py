"""The trust matrix: every RPC and every REST route against everybody who must not get through.

It is built by walking the descriptors, never from a list of routes. Rooms:

- `contract` reads every RPC, its policy, its route, and for each field what kind of thing it names.
  A text field that it does not know fails: say there whether it names something.
- `filling` makes complete requests of descriptors, `world` two accounts with one of everything.
- `calls` speaks REST with the gateway and gRPC with each service; answers can be compared.
- `effects` sees every row of every database and every event on the stream.
- `test_credentials`: no token and a dozen bad ones. Refused, no effect.
- `test_roles`: every role, key and service. Who is not meant gets one answer, whatever exists.
- `test_foreign_ids`: another account's id in every field. Answered as an unknown one, no effect.
- `test_scope`: the same in headers and query, and revisions that tell of foreign things.
- `test_declarations`: a permission is declared once; what is new fails until it is known.

A new kind of thing needs a line in a table of `contract` and one of the thing in `world`. What
reaches into other accounts by design is listed, with the reason, in `test_foreign_ids`.
"""

import asyncio

import httpx
import pytest
from e2e.people import API, PASSWORD, Writer
from trust import world
from trust.calls import Rest, Wire
from trust.effects import Effects, difference
from trust.matrix import require_none

NOT_GRPC = {"gateway", "model"}


class Ground:
    """What every part of the matrix needs."""

    def __init__(self, stack, client, wire, tenants):
        self.stack = stack
        self._client = client
        self.rest = Rest(client)
        self.wire = wire
        self.trying, self.other = tenants
        self._effects = Effects(stack)

    async def login(self, tenant, role):
        """The `Authorization` of a new session of somebody."""
        body = {"email": tenant.people[role]["user"]["email"], "password": PASSWORD}
        answer = await self._client.post(f"{API}/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        return f"Bearer {answer.json()['data']['access_token']}"

    async def state(self, *tenants):
        """Every row and event of these accounts, and the rows of none."""
        return await self._effects.now(*(tenant.id for tenant in tenants))


def _met(stack):
    addresses = {k: v for k, v in stack.addresses.items() if k not in NOT_GRPC}
    client = httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30)
    return client, Wire(addresses, world.signers(stack))


@pytest.fixture(scope="session")
def tenants(stack):
    """The account that tries, and the other one."""

    async def make():
        client, wire = _met(stack)
        async with client:
            made = await world.two(Writer(client, stack), wire)
        await wire.close()
        return made

    return asyncio.run(make())


@pytest.fixture
async def ground(stack, tenants):
    client, wire = _met(stack)
    async with client:
        yield Ground(stack, client, wire, tenants)
    await wire.close()


@pytest.fixture
async def untouched(ground):
    """Fails when anything has changed in the end."""
    before = await ground.state(ground.trying, ground.other)
    yield
    require_none(difference(before, await ground.state(ground.trying, ground.other)))
