"""Signing in, and what a session may be used for."""

import statistics
import time
from datetime import timedelta

import pytest
from writer.identity.v1 import identity_pb2

from chassis import clock
from chassis.errors import Kind, Refusal

from .conftest import PASSWORD

ME = identity_pb2.GetMeRequest()


async def test_a_login_gives_a_token_that_says_who_one_is(world):
    registered = await world.register()
    session = await world.login(" ADA@example.com ")
    assert (session.site_id, session.sector_id) == (registered.site_id, registered.sector_id)
    me = await world.call("GetMe", ME, f"Bearer {session.access_token}")
    assert me.user == registered.user
    assert me.account == registered.account
    assert me.role == identity_pb2.Role.owner
    assert not me.HasField("api_key")


async def test_an_unknown_address_and_a_wrong_password_are_refused_alike(world):
    await world.register()
    refusals = []
    for email, password in (("ada@example.com", "wrong"), ("eve@example.com", PASSWORD)):
        with pytest.raises(Refusal) as caught:
            await world.login(email, password)
        refusals.append(caught.value)
    known, unknown = refusals
    assert known.kind == Kind.UNAUTHENTICATED
    assert (known.reason, known.message) == (unknown.reason, unknown.message)
    assert (known.metadata, known.violations) == (unknown.metadata, unknown.violations)


async def test_an_unknown_address_costs_as_much_as_a_wrong_password(world):
    await world.register()

    async def cpu_s(email):
        # Processor time of all threads: what others do on the machine does not count.
        started = time.process_time()
        with pytest.raises(Refusal):
            await world.login(email, "wrong")
        return time.process_time() - started

    known = [await cpu_s("ada@example.com") for _ in range(5)]
    unknown = [await cpu_s("eve@example.com") for _ in range(5)]
    # Without the hash, the unknown one would cost a tenth.
    assert statistics.median(unknown) > statistics.median(known) / 2


async def test_a_deactivated_user_can_neither_log_in_nor_go_on(world):
    session = await world.register()
    await world.deactivate(session.user.id)
    with pytest.raises(Refusal) as caught:
        await world.login()
    assert caught.value.message == "The address or the password is wrong."
    with pytest.raises(Refusal) as caught:
        await world.authenticator.authenticate(f"Bearer {session.access_token}")
    assert caught.value.reason == "UNAUTHENTICATED"


@pytest.mark.parametrize("status", ["suspended", "cancelled"])
async def test_an_inactive_account_is_refused_whatever_the_credential(world, status):
    owner = await world.owner()
    key = await world.make_key(owner.header)
    await world.set_status(owner.session.account.id, status)
    for attempt in (
        world.login(),
        world.authenticator.authenticate(owner.header),
        world.authenticator.authenticate(f"ApiKey {key.key}"),
    ):
        with pytest.raises(Refusal) as caught:
            await attempt
        assert (caught.value.kind, caught.value.reason) == (
            Kind.PERMISSION_DENIED,
            "ACCOUNT_INACTIVE",
        )
    # Without the password nobody learns what the account's state is.
    with pytest.raises(Refusal) as caught:
        await world.login(password="wrong")
    assert caught.value.reason == "UNAUTHENTICATED"


async def test_a_token_works_for_a_quarter_of_an_hour(world):
    owner = await world.owner()
    start = clock.now()
    principal = await world.authenticator.authenticate(owner.header)
    assert timedelta(minutes=14) < principal.expire_time - start <= timedelta(minutes=15)
    with clock.frozen(lambda: start + timedelta(minutes=14)):
        await world.authenticator.authenticate(owner.header)
    with clock.frozen(lambda: start + timedelta(minutes=15)), pytest.raises(Refusal) as caught:
        await world.authenticator.authenticate(owner.header)
    assert (caught.value.kind, caught.value.reason) == (Kind.UNAUTHENTICATED, "TOKEN_EXPIRED")


async def test_a_role_that_was_taken_away_is_gone_before_the_token_ends(world):
    owner = await world.owner()
    header = await world.add_user(owner.session.account.id, "viewer")
    principal = await world.authenticator.authenticate(header)
    assert (principal.role, principal.allowed_sites) == ("viewer", ())
    refusal = await world.refused(
        "CreateApiKey",
        identity_pb2.CreateApiKeyRequest(api_key=identity_pb2.ApiKey(name="mine")),
        header,
    )
    assert refusal.reason == "ROLE_FORBIDDEN"
