"""People and their administrators at once on PostgreSQL: everybody takes locks in one order."""

import asyncio
import logging

import pytest
from writer.identity.v1 import (
    identity_pb2,
    invitations_pb2,
    rotation_pb2,
    sessions_pb2,
    users_pb2,
)

from chassis.errors import Kind, Refusal

from .conftest import PASSWORD

pytestmark = [
    pytest.mark.usefixtures("cheap_passwords"),
    # SQLite has one writer, who waits for nobody.
    pytest.mark.parametrize("dialect", ["postgresql"]),
]

ROLE = identity_pb2.Role
ROUNDS = 6
GUEST = "guest@example.com"
ADDRESSES = ("192.0.2.1", "192.0.2.2", "198.51.100.3")
"""Enough that some are hashed to before, and some to behind, their pair with an e-mail."""


async def comes_and_goes(world, email, address):
    """One visit of somebody who signs in, goes on, changes what is theirs, and signs out."""
    request = identity_pb2.LoginRequest(email=email, password=PASSWORD)
    session = await world.call("Login", request, address=address)
    session = await world.refresh(session.refresh_token)
    header = f"Bearer {session.access_token}"
    await world.call("UpdateMe", users_pb2.UpdateMeRequest(name=address), header)
    change = sessions_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password=PASSWORD)
    await world.call("ChangePassword", change, header, address=address)
    await world.call("Logout", sessions_pb2.LogoutRequest(everywhere=True), header)


async def visits(world, email, address):
    """How many visits were not cut short: others log out everywhere, or change the password."""
    undisturbed = 0
    for _ in range(ROUNDS):
        try:
            await comes_and_goes(world, email, address)
        except Refusal as refusal:
            if refusal.kind not in (Kind.UNAUTHENTICATED, Kind.INVALID_ARGUMENT):
                raise
        else:
            undisturbed += 1
    return undisturbed


async def administrates(world, header, user_id, site_id, key_id):
    """Somebody who changes people and keys all the time."""
    for number in range(ROUNDS):
        role = (ROLE.viewer, ROLE.editor)[number % 2]
        invitation = invitations_pb2.Invitation(email=GUEST, role=role)
        steps = {
            "UpdateUser": users_pb2.UpdateUserRequest(id=user_id, role=role, name=f"{number}"),
            "AddSiteAccess": users_pb2.AddSiteAccessRequest(id=user_id, site_id=site_id),
            "RotateApiKey": rotation_pb2.RotateApiKeyRequest(id=key_id),
            "CreateInvitation": invitations_pb2.CreateInvitationRequest(invitation=invitation),
            "RemoveSiteAccess": users_pb2.RemoveSiteAccessRequest(id=user_id, site_id=site_id),
        }
        for method, request in steps.items():
            await world.call(method, request, header)


async def test_nobody_waits_for_somebody_who_waits_for_them(world, caplog):
    caplog.set_level(logging.INFO, "chassis.postgres")
    owner = await world.owner()
    people = [await world.join(owner.header, f"p{n}@example.com") for n in range(2)]
    site_id = owner.session.site_id
    key = await world.make_key(owner.header)
    *undisturbed, _, _ = await asyncio.gather(
        *(
            visits(world, each.session.user.email, address)
            for each in people
            for address in ADDRESSES
            for _ in range(2)
        ),
        *(
            administrates(world, owner.header, each.session.user.id, site_id, key.id)
            for each in people
        ),
    )
    assert sum(undisturbed) > 0
    assert [each.getMessage() for each in caplog.records if "40P01" in each.getMessage()] == []
