"""Joining an account: one token, one user, whatever is repeated, lost or raced for."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from writer.identity.v1 import identity_pb2, invitations_pb2

from chassis import clock
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.plumbing import new_metadata
from gateway.identity.schema import invitations, users

from .conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("cheap_passwords")

ROLE = identity_pb2.Role
EVE = "eve@example.com"
REQUEST = "7b1d0b1e-0000-4000-8000-000000000009"


async def accept(world, token, password=PASSWORD, **fields):
    request = invitations_pb2.AcceptInvitationRequest(token=token, password=password, **fields)
    return await world.call("AcceptInvitation", request)


async def revoke(world, header, invitation_id):
    request = invitations_pb2.RevokeInvitationRequest(id=invitation_id)
    return await world.call("RevokeInvitation", request, header)


async def reason(attempt):
    with pytest.raises(Refusal) as caught:
        await attempt
    return caught.value.reason


async def people(world):
    rows = await world.database.read(lambda c: c.execute(select(users.c.email)).scalars().all())
    return sorted(rows)


async def test_who_accepts_is_a_user_with_the_role_and_the_sites(world):
    owner = await world.owner()
    site_id = owner.session.site_id
    made = await world.invite(
        owner.header, "Eve@Example.com", role=ROLE.editor, granted_site_ids=[site_id]
    )
    session = await accept(world, made.token, name=" Eve ")
    assert (session.user.email, session.user.name) == (EVE, "Eve")
    assert session.account == owner.session.account
    who = await world.caller(f"Bearer {session.access_token}")
    assert (who.role, who.allowed_sites) == ("editor", (site_id,))
    assert await world.works(await world.login(EVE))
    listed = await world.call(
        "ListInvitations", invitations_pb2.ListInvitationsRequest(), owner.header
    )
    [seen] = listed.invitations
    assert (seen.id, seen.token, seen.HasField("accept_time")) == (made.id, "", True)


async def test_an_invitation_is_for_a_viewer_unless_it_says_more(world):
    owner = await world.owner()
    assert (await world.join(owner.header, EVE)).session.user.role == ROLE.viewer


async def test_a_repeat_after_a_lost_answer_logs_in_with_the_same_password_only(world):
    owner = await world.owner()
    made = await world.invite(owner.header, EVE)
    first = await accept(world, made.token)
    again = await accept(world, made.token)
    assert again.user == first.user
    assert await reason(accept(world, made.token, "another password")) == "UNAUTHENTICATED"
    assert await people(world) == ["ada@example.com", EVE]


async def test_of_several_who_accept_at_once_one_password_counts(world):
    owner = await world.owner()
    made = await world.invite(owner.header, EVE)
    outcomes = await asyncio.gather(
        *(accept(world, made.token, f"password number {number}") for number in range(3)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Refusal) for each in outcomes) == 2
    assert await people(world) == ["ada@example.com", EVE]


async def test_a_token_that_is_over_is_refused(world):
    owner = await world.owner()
    made = await world.invite(owner.header, EVE)
    start = clock.now()
    with clock.frozen(lambda: start + timedelta(days=7, seconds=1)):
        assert await reason(accept(world, made.token)) == "TOKEN_EXPIRED"
    newer = await world.invite(owner.header, EVE.upper())
    assert await reason(accept(world, made.token)) == "UNAUTHENTICATED"
    for _ in range(2):
        assert (await revoke(world, owner.header, newer.id)).HasField("revoke_time")
    for token in (newer.token, newer.token[:-3] + "AAA", newer.token.replace("wi_", "wr_"), "x"):
        assert await reason(accept(world, token)) == "UNAUTHENTICATED"
    assert await people(world) == ["ada@example.com"]


async def test_an_accepted_invitation_cannot_be_taken_back(world):
    owner = await world.owner()
    made = await world.invite(owner.header, EVE)
    await accept(world, made.token)
    assert await reason(revoke(world, owner.header, made.id)) == "INVALID_TRANSITION"


async def test_an_address_that_is_taken_is_refused_when_inviting_and_when_accepting(world):
    owner = await world.owner()
    assert await reason(world.invite(owner.header, "ADA@example.com")) == "ALREADY_EXISTS"
    made = await world.invite(owner.header, EVE)
    # An open invitation keeps nobody from opening an account of their own.
    await world.register(EVE)
    assert await reason(accept(world, made.token)) == "ALREADY_EXISTS"
    assert await reason(world.invite(owner.header, EVE)) == "ALREADY_EXISTS"


async def test_a_suspended_account_takes_nobody_in(world):
    owner = await world.owner()
    made = await world.invite(owner.header, EVE)
    await world.set_status(owner.session.account.id, "suspended")
    assert await reason(accept(world, made.token)) == "ACCOUNT_INACTIVE"
    await world.set_status(owner.session.account.id, "active")
    await accept(world, made.token)


async def test_a_repeated_request_makes_one_invitation_and_shows_its_token_once(world):
    owner = await world.owner()
    request = invitations_pb2.CreateInvitationRequest(
        invitation=invitations_pb2.Invitation(email=EVE), request_id=REQUEST
    )
    first = await world.call("CreateInvitation", request, owner.header)
    again = await world.call("CreateInvitation", request, owner.header)
    assert (again.id, again.token) == (first.id, "")
    replies = new_metadata().tables["replies"]
    for table in (invitations, replies):
        rows = await world.database.read(lambda c, t=table: c.execute(select(t)).all())
        assert first.token.split("_", 2)[2] not in str(rows)
    await accept(world, first.token)


async def test_sites_and_invitations_of_another_account_are_unknown(world):
    owner, other = await world.owner(), await world.owner("bob@example.com")
    made = await world.invite(other.header, EVE)
    for site_id in (other.session.site_id, new_id()):
        with pytest.raises(Refusal) as caught:
            await world.invite(owner.header, "x@example.com", granted_site_ids=[site_id])
        [violation] = caught.value.violations
        assert violation.field == "invitation.granted_site_ids[0]"
    for invitation_id in (made.id, new_id()):
        assert await reason(revoke(world, owner.header, invitation_id)) == "NOT_FOUND"
    await accept(world, made.token)
