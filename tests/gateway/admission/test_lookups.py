"""Identity that is silent: a request is refused, and not held for as long as the silence lasts."""

import asyncio
import dataclasses

import pytest

from chassis.errors import Unavailable
from gateway.admission import lookups
from gateway.admission.cors import CachedOrigins
from gateway.admission.principals import ANONYMOUS, CachedAuthenticator, CachedScopes

APP = "https://app.example"
SITES = "/api/v1/auth/sites"
ASK = {"X-Acting-Account": "0199aaaa-0000-7000-8000-0000000000ac", "X-Acting-Reason": "Ticket 7"}


class Silent:
    """Never answers what it is asked."""

    async def authenticate(self, _authorization):
        await asyncio.Event().wait()

    async def resolve(self, *_choice, **_options):
        await asyncio.Event().wait()

    async def is_known(self, _origin):
        await asyncio.Event().wait()

    async def allows(self, _account_id, _origin):
        await asyncio.Event().wait()

    async def act(self, _principal, _asked):
        await asyncio.Event().wait()


class SilentLater(Silent):
    """Lets an operator act, and answers nothing more."""

    async def act(self, principal, asked):
        return dataclasses.replace(
            principal, account_id=asked.account_id, acting_for=principal.account_id
        )

    async def confirm(self, _principal, _account_id):
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(lookups, "LOOKUP_TIMEOUT_S", 0.05)


@pytest.mark.parametrize(
    "lookup",
    [
        lambda silent: CachedAuthenticator(silent).authenticate("Bearer good"),
        lambda silent: CachedScopes(silent).resolve(ANONYMOUS, "s", "", needs_sector=False),
        lambda silent: CachedOrigins(silent).is_known(APP),
        lambda silent: CachedOrigins(silent).allows("a1", APP),
    ],
    ids=["a credential", "a site", "an origin", "an origin of an account"],
)
async def test_what_is_not_found_in_time_is_not_waited_for(lookup):
    with pytest.raises(Unavailable):
        await lookup(Silent())


@pytest.mark.parametrize("acting", [Silent(), SilentLater()], ids=["at first", "behind the body"])
async def test_an_operator_is_not_kept_waiting(make_stack, acting):
    async with make_stack("identity", acting=acting) as stack:
        answer = await stack.client.post(SITES, headers=ASK, json={"name": "New"})
        assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
        assert stack.backend.heard == []
