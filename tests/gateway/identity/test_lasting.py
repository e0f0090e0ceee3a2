"""Who lets somebody in needs a credential that works, and lasts, at that very moment."""

import asyncio
from datetime import timedelta

import pytest
from writer.identity.v1 import (
    accounts_pb2,
    identity_pb2,
    invitations_pb2,
    rotation_pb2,
    sessions_pb2,
    users_pb2,
)

from chassis import clock
from chassis.errors import Refusal
from chassis.times import to_timestamp

pytestmark = pytest.mark.usefixtures("cheap_passwords")

ROLE = identity_pb2.Role
HOUR_S = 3600


async def ways_in(world, owner):
    """Whatever lets a program or a person in, for good."""
    key = await world.make_key(owner.header)
    viewer = await world.add_user(owner.session.account.id, "viewer")
    user_id = (await world.call("GetMe", identity_pb2.GetMeRequest(), viewer)).user.id
    site_id = owner.session.site_id
    return {
        "CreateApiKey": identity_pb2.CreateApiKeyRequest(api_key=identity_pb2.ApiKey(name="k")),
        "RotateApiKey": rotation_pb2.RotateApiKeyRequest(id=key.id),
        "CreateInvitation": invitations_pb2.CreateInvitationRequest(
            invitation=invitations_pb2.Invitation(email="eve@example.com", role=ROLE.viewer)
        ),
        "UpdateUser": users_pb2.UpdateUserRequest(id=user_id, role=ROLE.editor),
        "ReactivateUser": users_pb2.ReactivateUserRequest(id=user_id),
        "AddSiteAccess": users_pb2.AddSiteAccessRequest(id=user_id, site_id=site_id),
    }


async def answers(world, ways, who):
    """How each of them is answered: the reason of a refusal, or nothing."""
    found = {}
    for method, request in ways.items():
        try:
            await world.call_as(method, request, who)
            found[method] = ""
        except Refusal as refusal:
            found[method] = refusal.reason
    return found


async def own_id(world, header):
    me = await world.call("GetMe", identity_pb2.GetMeRequest(), header)
    return me.user.id or me.api_key.id


async def revoked(world, owner, header):
    request = identity_pb2.RevokeApiKeyRequest(id=await own_id(world, header))
    await world.call("RevokeApiKey", request, owner.header)


async def rotated(world, owner, header, overlap_s=0):
    key_id = await own_id(world, header)
    request = rotation_pb2.RotateApiKeyRequest(id=key_id, overlap_s=overlap_s)
    await world.call("RotateApiKey", request, owner.header)


async def rotated_with_overlap(world, owner, header):
    await rotated(world, owner, header, HOUR_S)


async def logged_out(world, _owner, header):
    await world.call("Logout", sessions_pb2.LogoutRequest(), header)


async def deactivated(world, owner, header):
    request = users_pb2.DeactivateUserRequest(id=await own_id(world, header))
    await world.call("DeactivateUser", request, owner.header)


async def lowered(world, owner, header):
    request = users_pb2.UpdateUserRequest(id=await own_id(world, header), role=ROLE.editor)
    await world.call("UpdateUser", request, owner.header)


async def suspended(world, owner, _header):
    operator = await world.operator()
    request = ways_of_operators(owner.session.account.id)["SuspendAccount"]
    await world.call("SuspendAccount", request, operator.header)


def ways_of_operators(account_id):
    """What lets a whole account in, or shuts it out."""
    return {
        "SuspendAccount": accounts_pb2.SuspendAccountRequest(id=account_id, reason="Unpaid"),
        "ReactivateAccount": accounts_pb2.ReactivateAccountRequest(id=account_id, reason="Paid"),
        "CancelAccount": accounts_pb2.CancelAccountRequest(id=account_id, reason="Over"),
    }


@pytest.mark.parametrize(
    ("is_key", "ends", "reason"),
    [
        (True, revoked, "KEY_REVOKED"),
        (True, rotated, "KEY_REVOKED"),
        (True, rotated_with_overlap, "ROLE_FORBIDDEN"),
        (True, suspended, "ACCOUNT_INACTIVE"),
        (False, logged_out, "UNAUTHENTICATED"),
        (False, deactivated, "UNAUTHENTICATED"),
        (False, lowered, "ROLE_FORBIDDEN"),
        (False, suspended, "ACCOUNT_INACTIVE"),
    ],
)
async def test_a_credential_that_has_just_ended_lets_nobody_in(world, is_key, ends, reason):
    owner = await world.owner()
    if is_key:
        header = f"ApiKey {(await world.make_key(owner.header, role=ROLE.admin)).key}"
    else:
        header = await world.add_user(owner.session.account.id, "admin")
    ways = await ways_in(world, owner)
    # A gateway that has not noticed: it vouches for what it remembers.
    remembered = await world.caller(header)
    await ends(world, owner, header)
    assert await answers(world, ways, remembered) == dict.fromkeys(ways, reason)


async def test_a_key_that_ends_lets_nobody_in_and_one_that_lasts_does(world):
    owner = await world.owner()
    ways = await ways_in(world, owner)
    soon = to_timestamp(clock.now() + timedelta(hours=1))
    lent = await world.make_key(owner.header, role=ROLE.admin, expire_time=soon)
    lasting = await world.make_key(owner.header, role=ROLE.admin)
    for key, told in ((lent, "ROLE_FORBIDDEN"), (lasting, "")):
        who = await world.caller(f"ApiKey {key.key}")
        assert await answers(world, ways, who) == dict.fromkeys(ways, told)


async def test_of_two_renewals_by_the_same_secret_one_counts(world):
    owner = await world.owner()
    first = await world.make_key(owner.header, role=ROLE.admin)
    who = await world.caller(f"ApiKey {first.key}")
    request = rotation_pb2.RotateApiKeyRequest(id=first.id)
    twins = [world.call_as("RotateApiKey", request, who) for _ in range(2)]
    told = await asyncio.gather(*twins, return_exceptions=True)
    [made] = [each for each in told if not isinstance(each, Refusal)]
    [refusal] = [each for each in told if isinstance(each, Refusal)]
    assert refusal.reason == "KEY_REVOKED"
    await world.authenticator.authenticate(f"ApiKey {made.key}")


async def test_an_operator_at_work_elsewhere_is_asked_for_at_home(world):
    owner, operator = await world.owner(), await world.operator()
    ways = await ways_in(world, owner)
    who = await world.acting(operator, owner.session.account.id)
    assert await answers(world, ways, who) == dict.fromkeys(ways, "")
    await logged_out(world, owner, operator.header)
    assert await answers(world, ways, who) == dict.fromkeys(ways, "UNAUTHENTICATED")


async def test_an_operator_lets_nobody_into_an_account_that_was_just_suspended(world):
    owner, operator = await world.owner(), await world.operator()
    ways = await ways_in(world, owner)
    who = await world.acting(operator, owner.session.account.id)
    suspend = ways_of_operators(owner.session.account.id)["SuspendAccount"]
    await world.call("SuspendAccount", suspend, operator.header)
    assert await answers(world, ways, who) == dict.fromkeys(ways, "ACCOUNT_INACTIVE")


async def test_an_operator_who_has_just_gone_opens_and_closes_no_account(world):
    owner, operator = await world.owner(), await world.operator()
    ways = ways_of_operators(owner.session.account.id)
    suspend = ways.pop("SuspendAccount")
    who = await world.caller(operator.header)
    await world.call_as("SuspendAccount", suspend, who)
    await logged_out(world, owner, operator.header)
    assert await answers(world, ways, who) == dict.fromkeys(ways, "UNAUTHENTICATED")
