"""The trust matrix: every RPC and every REST route against everybody who must not get through.

It is built by walking the descriptors, never from a list of routes. Rooms:

- `contract` reads every RPC, its policy, its route, and for each field what kind of thing it names.
  A text field that it does not know fails: say there whether it names something.
- `filling` makes complete requests of descriptors, `world` two accounts with one of everything.
- `calls` speaks REST (by `http`) and gRPC with the services; answers can be compared.
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
import json

import httpx
import pytest
from e2e.people import API, PASSWORD, Writer
from trust import world
from trust.calls import Rest, Wire
from trust.effects import Effects, difference
from trust.http import Http
from trust.matrix import require_none

NOT_GRPC = {"gateway", "model"}


class Ground:
    """What every part of the matrix needs."""

    def __init__(self, stack, http, wire, tenants):
        self.stack = stack
        self.http = http
        self.rest = Rest(http)
        self.wire = wire
        self.trying, self.other = tenants
        self._effects = Effects(stack)

    async def login(self, tenant, role):
        """The `Authorization` of a new session of somebody."""
        body = {"email": tenant.people[role]["user"]["email"], "password": PASSWORD}
        answer = await self.http.request("POST", f"{API}/auth/login", body=body)
        assert answer.status == 200, answer.text
        return f"Bearer {json.loads(answer.text)['data']['access_token']}"

    async def state(self, *tenants):
        """Every row and event of these accounts, and the rows of none."""
        return await self._effects.now(*(tenant.id for tenant in tenants))


def _wire(stack):
    addresses = {k: v for k, v in stack.addresses.items() if k not in NOT_GRPC}
    return Wire(addresses, world.signers(stack))


@pytest.fixture(scope="session")
def tenants(stack):
    """The account that tries, and the other one."""

    async def make():
        wire = _wire(stack)
        async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as client:
            made = await world.two(Writer(client, stack), wire)
        await wire.close()
        return made

    return asyncio.run(make())


@pytest.fixture
async def ground(stack, tenants):
    http, wire = Http(stack.url), _wire(stack)
    yield Ground(stack, http, wire, tenants)
    await http.close()
    await wire.close()


@pytest.fixture
async def untouched(ground):
    """Fails when anything has changed in the end."""
    before = await ground.state(ground.trying, ground.other)
    yield
    require_none(difference(before, await ground.state(ground.trying, ground.other)))
