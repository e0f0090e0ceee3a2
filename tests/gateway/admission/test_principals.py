"""What is remembered of credentials and scopes, and for how long."""

import asyncio
from datetime import timedelta

import pytest

from chassis import clock, memory
from chassis.errors import Unauthenticated
from gateway.admission.principals import TTL_S, CachedAuthenticator, CachedScopes, Principal, Scope


class Counting:
    def __init__(self, principal=None):
        self.principal = principal or Principal(principal="user:1", role="owner", account_id="a1")
        self.asked = 0
        self.pause = None
        self.reached = asyncio.Event()

    async def authenticate(self, authorization):
        self.asked += 1
        if authorization != "Bearer good":
            raise Unauthenticated
        self.reached.set()
        if self.pause is not None:
            await self.pause.wait()
        return self.principal

    async def resolve(self, _principal, site_id, sector_id, **_options):
        self.asked += 1
        return Scope(site_id=site_id, sector_id=sector_id)


@pytest.fixture
def passing(monkeypatch):
    """Moves the monotonic clock by hand."""
    moved = [0.0]
    monkeypatch.setattr(clock, "elapsed_s", lambda: moved[0])
    return moved


async def test_a_credential_is_verified_once_while_it_is_remembered(passing):
    inner = Counting()
    cached = CachedAuthenticator(inner)
    for _ in range(3):
        assert await cached.authenticate("Bearer good") == inner.principal
    assert inner.asked == 1
    passing[0] += TTL_S
    await cached.authenticate("Bearer good")
    assert inner.asked == 2


async def test_a_refusal_is_never_remembered():
    inner = Counting()
    cached = CachedAuthenticator(inner)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await cached.authenticate("Bearer bad")
    assert inner.asked == 2


async def test_no_credential_is_not_confused_with_another():
    cached = CachedAuthenticator(Counting())
    await cached.authenticate("Bearer good")
    for other in (None, "", "bearer good", "Bearer good "):
        with pytest.raises(Unauthenticated):
            await cached.authenticate(other)


async def test_a_credential_that_expires_is_not_remembered_beyond_that():
    now = clock.now()
    inner = Counting(
        Principal(
            principal="user:1",
            role="owner",
            account_id="a1",
            expire_time=now + timedelta(seconds=1),
        )
    )
    cached = CachedAuthenticator(inner)
    with clock.frozen(lambda: now):
        await cached.authenticate("Bearer good")
        await cached.authenticate("Bearer good")
    assert inner.asked == 1
    with clock.frozen(lambda: now + timedelta(seconds=1)):
        await cached.authenticate("Bearer good")
    assert inner.asked == 2


async def test_what_an_account_revoked_is_asked_again_at_once():
    inner = Counting()
    cached = CachedAuthenticator(inner)
    await cached.authenticate("Bearer good")
    cached.forget("another account")
    await cached.authenticate("Bearer good")
    assert inner.asked == 1
    cached.forget("a1")
    await cached.authenticate("Bearer good")
    assert inner.asked == 2


async def test_an_answer_on_its_way_during_a_revocation_is_not_remembered():
    inner = Counting()
    inner.pause = asyncio.Event()
    cached = CachedAuthenticator(inner)
    running = asyncio.create_task(cached.authenticate("Bearer good"))
    await inner.reached.wait()
    cached.forget("a1")
    inner.pause.set()
    await running
    await cached.authenticate("Bearer good")
    assert inner.asked == 2


async def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(memory, "REMEMBERED_MAX", 10)
    inner = Counting()
    cached = CachedScopes(inner)
    for number in range(100):
        await cached.resolve(inner.principal, f"site-{number}", "", needs_sector=False)
    assert len(cached._memory._values) == 10


async def test_scopes_are_remembered_by_who_chose_what():
    inner = Counting()
    cached = CachedScopes(inner)
    other = Principal(principal="user:2", role="viewer", account_id="a1", allowed_sites=("s1",))
    for _ in range(2):
        for who in (inner.principal, other):
            for site in ("s1", "s2"):
                scope = await cached.resolve(who, site, "", needs_sector=False)
                assert scope.site_id == site
    assert inner.asked == 4
    cached.forget("a1")
    await cached.resolve(other, "s1", "", needs_sector=False)
    assert inner.asked == 5
