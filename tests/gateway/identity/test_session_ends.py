"""Signing out and changing the password: what ends, and what goes on."""

import asyncio
from datetime import timedelta

import pytest
from writer.identity.v1 import identity_pb2, sessions_pb2

from chassis import clock
from chassis.errors import Refusal
from gateway.admission.principals import CachedAuthenticator

from .conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("cheap_passwords")

NEW = "an even better one"


def header(session):
    return f"Bearer {session.access_token}"


async def log_out(world, session, **fields):
    return await world.call("Logout", sessions_pb2.LogoutRequest(**fields), header(session))


async def change(world, session, current=PASSWORD, new=NEW):
    request = sessions_pb2.ChangePasswordRequest(current_password=current, new_password=new)
    return await world.call("ChangePassword", request, header(session))


async def test_a_logout_ends_its_session_with_all_its_tokens_and_no_other(world):
    one, other = await world.register(), await world.login()
    refreshed = await world.refresh(one.refresh_token)
    await log_out(world, refreshed)
    assert world.changes == [one.account.id]
    assert [await world.works(each) for each in (one, refreshed, other)] == [False, False, True]
    with pytest.raises(Refusal) as caught:
        await world.refresh(refreshed.refresh_token)
    assert caught.value.reason == "UNAUTHENTICATED"


async def test_a_logout_everywhere_ends_all_sessions_of_that_user(world):
    owner = await world.register()
    second = await world.login()
    guest = await world.join(header(owner), "eve@example.com")
    await log_out(world, second, everywhere=True)
    sessions = (owner, second, guest.session)
    assert [await world.works(each) for each in sessions] == [False, False, True]


async def test_a_remembered_token_is_forgotten_when_its_session_ends(world):
    session = await world.register()
    remembering = CachedAuthenticator(world.authenticator)
    await remembering.authenticate(header(session))
    await log_out(world, session)
    for account_id in world.changes:
        remembering.forget(account_id)
    with pytest.raises(Refusal) as caught:
        await remembering.authenticate(header(session))
    assert caught.value.reason == "UNAUTHENTICATED"


async def test_a_new_password_ends_the_other_sessions_and_the_old_password(world):
    one, other = await world.register(), await world.login()
    await change(world, other)
    assert [await world.works(each) for each in (one, other)] == [False, True]
    assert await world.works(await world.refresh(other.refresh_token))
    with pytest.raises(Refusal) as caught:
        await world.login()
    assert caught.value.reason == "UNAUTHENTICATED"
    await world.login(password=NEW)
    [entry] = await world.audit(header(other), action="user.password_changed")
    assert entry.after["sessions_ended"] == 1
    assert NEW not in str(entry)


async def test_a_wrong_current_password_changes_nothing_and_counts_as_an_attempt(world):
    session = await world.register()
    for _ in range(10):
        with pytest.raises(Refusal) as caught:
            await change(world, session, current="guessed")
        assert [violation.field for violation in caught.value.violations] == ["current_password"]
    with pytest.raises(Refusal) as caught:
        await change(world, session)
    assert caught.value.reason == "RATE_LIMITED"
    start = clock.now()
    with clock.frozen(lambda: start + timedelta(minutes=15)):
        await world.login()


async def test_of_two_changes_at_once_one_counts(world):
    session = await world.register()
    outcomes = await asyncio.gather(
        *(change(world, session, new=f"{NEW} {number}") for number in range(3)),
        return_exceptions=True,
    )
    won = [number for number, each in enumerate(outcomes) if not isinstance(each, Refusal)]
    assert len(won) == 1
    await world.login(password=f"{NEW} {won[0]}")


async def test_a_key_has_neither_session_nor_password(world):
    owner = await world.owner()
    key = await world.make_key(owner.header, role=identity_pb2.Role.admin)
    for method, request in (
        ("Logout", sessions_pb2.LogoutRequest()),
        ("Logout", sessions_pb2.LogoutRequest(everywhere=True)),
        (
            "ChangePassword",
            sessions_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password=NEW),
        ),
    ):
        refusal = await world.refused(method, request, f"ApiKey {key.key}")
        assert refusal.reason == "ROLE_FORBIDDEN"
    assert await world.works(owner.session)
