"""Guessing passwords: slowed down for the one who guesses, never for ever, never for all."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from writer.identity.v1 import identity_pb2, invitations_pb2

from chassis import clock
from chassis.errors import Kind, Refusal
from chassis.ids import new_id
from gateway.identity import passwords
from gateway.identity.schema import sign_in_attempts
from gateway.identity.service import attempts

from .conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("cheap_passwords")

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.9"
EVE = "eve@example.com"


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(attempts, "PAIR_FAILURES_MAX", 3)
    monkeypatch.setattr(attempts, "ADDRESS_FAILURES_MAX", 6)
    monkeypatch.setattr(attempts, "EMAIL_FAILURES_MAX", 5)


async def sign_in(world, password=PASSWORD, email="ada@example.com", address=HOME):
    """The reason of the refusal, or nothing."""
    request = identity_pb2.LoginRequest(email=email, password=password)
    try:
        await world.call("Login", request, address=address)
    except Refusal as refusal:
        return refusal
    return None


async def reasons(world, times, **fields):
    found = [await sign_in(world, **fields) for _ in range(times)]
    return [refusal.reason if refusal else "" for refusal in found]


class Ways:
    """Every way to begin a session with the password of a user who is there."""

    def __init__(self, world, *, token="", request_id=""):
        self._world = world
        self._token = token
        self._request_id = request_id

    async def try_(self, way, password):
        """The refusal, or nothing."""
        request = getattr(self, way)(password)
        method = type(request).__name__.removesuffix("Request")
        try:
            await self._world.call(method, request, address=HOME)
        except Refusal as refusal:
            return refusal
        return None

    def login(self, password):
        return identity_pb2.LoginRequest(email=EVE, password=password)

    def invitation(self, password):
        return invitations_pb2.AcceptInvitationRequest(token=self._token, password=password)

    def registration(self, password):
        fields = {"email": EVE, "password": password, "request_id": self._request_id}
        return identity_pb2.RegisterRequest(**fields)


async def ways_of_eve(world, way):
    """Eve, who came by an invitation or on her own."""
    if way == "registration":
        # New in each test: the account's id follows from it, and the log forgets nothing.
        ways = Ways(world, request_id=new_id())
        session = await world.call("Register", ways.registration(PASSWORD))
    else:
        made = await world.invite((await world.owner()).header, EVE, role="admin")
        ways = Ways(world, token=made.token)
        session = await world.call("AcceptInvitation", ways.invitation(PASSWORD))
    return ways, f"Bearer {session.access_token}"


@pytest.mark.parametrize("way", ["login", "invitation", "registration"])
async def test_every_way_in_with_a_password_counts_and_is_closed_together(world, few, way):
    ways, _ = await ways_of_eve(world, way)
    for _ in range(2):
        # The right one at the second try: what was wrong before is forgotten.
        for password in ("wrong password", PASSWORD):
            refusal = await ways.try_(way, password)
            assert (refusal is None) == (password == PASSWORD)
    found = [await ways.try_(way, "wrong password") for _ in range(3)]
    told = "REQUEST_ID_REUSED" if way == "registration" else "UNAUTHENTICATED"
    assert [refusal.reason for refusal in found] == [told] * 3
    for tried in (way, "login"):
        refusal = await ways.try_(tried, PASSWORD)
        assert (refusal.kind, refusal.reason) == (Kind.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert 890 <= int(refusal.metadata["retry_after_s"]) <= 900
    start = clock.now()
    with clock.frozen(lambda: start + timedelta(minutes=15)):
        assert await ways.try_(way, PASSWORD) is None


@pytest.mark.parametrize("way", ["login", "invitation", "registration"])
async def test_every_session_that_a_password_begins_is_in_the_log(world, way):
    ways, header = await ways_of_eve(world, way)
    assert await ways.try_(way, PASSWORD) is None
    mine = (await world.authenticator.authenticate(header)).principal
    started = await world.audit(header, action="session.started", actor=mine)
    assert len({entry.object_id for entry in started}) == 2
    assert started[0].client_address == HOME


async def test_who_makes_a_user_where_nobody_may_try_any_more_gets_in(world, few):
    made = await world.invite((await world.owner()).header, EVE)
    for number in range(6):
        await sign_in(world, "wrong", f"user{number}@example.com")
    # There is nothing to guess: the password is theirs.
    ways = Ways(world, token=made.token)
    assert await ways.try_("invitation", PASSWORD) is None
    assert (await ways.try_("invitation", PASSWORD)).reason == "RATE_LIMITED"


async def test_after_some_failures_one_has_to_wait_whatever_the_password(world, few):
    await world.register()
    assert await reasons(world, 3, password="wrong") == ["UNAUTHENTICATED"] * 3
    refusal = await sign_in(world)
    assert (refusal.kind, refusal.reason) == (Kind.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert 890 <= int(refusal.metadata["retry_after_s"]) <= 900
    start = clock.now()
    # Trying on does not make it longer.
    with clock.frozen(lambda: start + timedelta(minutes=14)):
        assert await reasons(world, 5) == ["RATE_LIMITED"] * 5
    with clock.frozen(lambda: start + timedelta(minutes=15)):
        assert await reasons(world, 1) == [""]


async def test_an_unknown_user_is_counted_like_a_known_one(world, few):
    await world.register()
    told = []
    for email in ("ada@example.com", "nobody@example.com"):
        found = [await sign_in(world, "wrong", email, address=f"addr-{email}") for _ in range(4)]
        told.append([(each.reason, each.message, each.kind) for each in found])
    assert told[0] == told[1]
    assert told[0][3][0] == "RATE_LIMITED"


async def test_all_addresses_of_one_customer_count_as_one(world, few):
    await world.register()
    found = [
        await reasons(world, 1, password="wrong", address=f"2001:db8:1:2::{n:x}") for n in range(4)
    ]
    assert found == [["UNAUTHENTICATED"]] * 3 + [["RATE_LIMITED"]]
    assert await reasons(world, 1, address="2001:db8:1:3::1") == [""]


async def test_a_customer_who_is_known_is_known_by_all_of_their_addresses(world, few):
    await world.register()
    assert await reasons(world, 1, address="2001:db8:1:2::1") == [""]
    for number in range(6):
        await sign_in(world, "wrong", address=f"10.0.0.{number}")
    assert await reasons(world, 1, address="2001:db8:1:3::1") == ["RATE_LIMITED"]
    assert await reasons(world, 1, address="2001:db8:1:2:a:b:c:d") == [""]


async def test_a_password_that_nobody_had_time_to_look_at_was_no_try(world, few, monkeypatch):
    await world.register()
    monkeypatch.setattr(attempts, "PAIR_FAILURES_MAX", 1)
    with monkeypatch.context() as busy:
        busy.setattr(passwords, "WAITING_MAX", 0)
        assert await reasons(world, 1) == ["UNAVAILABLE"]
    assert await reasons(world, 1) == [""]


async def test_who_guesses_elsewhere_does_not_lock_out_who_is_at_home(world, few):
    await world.register()
    assert await reasons(world, 1) == [""]
    for number in range(6):
        await sign_in(world, "wrong", address=f"10.0.0.{number}")
    # Guessed from everywhere: strangers wait, the address of the last login does not.
    assert await reasons(world, 1, address=ELSEWHERE) == ["RATE_LIMITED"]
    assert await reasons(world, 1) == [""]


async def test_sessions_and_keys_go_on_while_logging_in_has_to_wait(world, few):
    owner = await world.owner()
    key = await world.make_key(owner.header)
    await reasons(world, 4, password="wrong")
    assert await reasons(world, 1) == ["RATE_LIMITED"]
    assert await world.works(await world.refresh(owner.session.refresh_token))
    await world.authenticator.authenticate(f"ApiKey {key.key}")


async def test_one_address_cannot_try_many_users(world, few):
    await world.register()
    for number in range(6):
        await sign_in(world, "wrong", f"user{number}@example.com")
    assert await reasons(world, 1) == ["RATE_LIMITED"]
    assert await reasons(world, 1, address=ELSEWHERE) == [""]


async def test_a_login_forgets_what_its_user_got_wrong_but_not_what_the_address_did(world, few):
    await world.register()
    for _ in range(2):
        assert await reasons(world, 2, password="wrong") == ["UNAUTHENTICATED"] * 2
        assert await reasons(world, 1) == [""]
    await reasons(world, 2, password="wrong", email="bob@example.com")
    assert await reasons(world, 1, email="eve@example.com") == ["RATE_LIMITED"]


async def test_many_at_once_get_no_more_tries_than_one_after_another(world, few):
    await world.register()
    found = await asyncio.gather(*(sign_in(world, "wrong") for _ in range(10)))
    assert sum(each.reason == "UNAUTHENTICATED" for each in found) == 3


async def test_a_clock_that_was_ahead_locks_nobody_for_long(world, few):
    await world.register()
    start = clock.now()
    with clock.frozen(lambda: start + timedelta(days=365)):
        await reasons(world, 4, password="wrong")
        assert await reasons(world, 1) == ["RATE_LIMITED"]
    assert await reasons(world, 1) == [""]


async def test_what_was_typed_is_not_stored(world, few):
    await sign_in(world, "wrong", "my password in the wrong field")
    rows = await world.database.read(lambda c: c.execute(select(sign_in_attempts)).all())
    assert len(rows) == 3
    assert "password" not in str(rows)
    assert HOME not in str(rows)
