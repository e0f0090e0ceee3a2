"""The people of an account: who may change whom, and what nobody may."""

import asyncio

import pytest
from writer.identity.v1 import identity_pb2, sessions_pb2, users_pb2

from chassis.errors import Refusal
from chassis.ids import new_id

from .conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("cheap_passwords")

ROLE = identity_pb2.Role


async def update(world, header, user_id, **fields):
    return await world.call("UpdateUser", users_pb2.UpdateUserRequest(id=user_id, **fields), header)


async def update_me(world, header, **fields):
    return await world.call("UpdateMe", users_pb2.UpdateMeRequest(**fields), header)


async def deactivate(world, header, user_id):
    return await world.call("DeactivateUser", users_pb2.DeactivateUserRequest(id=user_id), header)


async def grant(world, header, user_id, site_id, method="AddSiteAccess"):
    request = getattr(users_pb2, f"{method}Request")(id=user_id, site_id=site_id)
    return await world.call(method, request, header)


async def listed(world, header, **wanted):
    answer = await world.call("ListUsers", users_pb2.ListUsersRequest(**wanted), header)
    return [user.email for user in answer.users]


async def reason(attempt):
    with pytest.raises(Refusal) as caught:
        await attempt
    return caught.value.reason


async def test_users_are_listed_by_role_by_words_and_by_whether_they_are_active(world):
    owner = await world.owner()
    await world.owner("stranger@example.com")
    eve = await world.join(owner.header, "eve@example.com", role=ROLE.admin)
    await world.join(owner.header, "e_e@example.com")
    assert await listed(world, owner.header) == [
        "e_e@example.com",
        "eve@example.com",
        "ada@example.com",
    ]
    assert await listed(world, owner.header, role=ROLE.admin) == ["eve@example.com"]
    assert await listed(world, owner.header, search="E_E@") == ["e_e@example.com"]
    await deactivate(world, owner.header, eve.session.user.id)
    assert await listed(world, owner.header, active=False) == ["eve@example.com"]
    assert await listed(world, owner.header, active=True, order_by="email") == [
        "ada@example.com",
        "e_e@example.com",
    ]


async def test_a_deactivated_user_is_out_at_once_and_comes_back_without_old_sessions(world):
    owner = await world.owner()
    eve = await world.join(owner.header, "eve@example.com", role=ROLE.admin)
    user_id = eve.session.user.id
    gone = await deactivate(world, owner.header, user_id)
    assert gone.HasField("deactivate_time")
    assert world.changes[-1] == owner.session.account.id
    assert not await world.works(eve.session)
    assert await reason(world.refresh(eve.session.refresh_token)) == "UNAUTHENTICATED"
    assert await reason(world.login("eve@example.com")) == "UNAUTHENTICATED"
    assert (await deactivate(world, owner.header, user_id)).etag == gone.etag
    back = await world.call(
        "ReactivateUser", users_pb2.ReactivateUserRequest(id=user_id), owner.header
    )
    assert not back.HasField("deactivate_time")
    assert not await world.works(eve.session)
    assert await world.works(await world.login("eve@example.com"))


async def test_the_last_owner_stays(world):
    owner = await world.owner()
    user_id = owner.session.user.id
    assert await reason(deactivate(world, owner.header, user_id)) == "LAST_OWNER"
    assert await reason(update(world, owner.header, user_id, role=ROLE.admin)) == "LAST_OWNER"
    await world.join(owner.header, "eve@example.com", role=ROLE.owner)
    assert (await update(world, owner.header, user_id, role=ROLE.admin)).role == ROLE.admin


@pytest.mark.parametrize("how", ["demoted", "deactivated"])
async def test_of_two_owners_who_end_each_other_at_once_one_stays(world, how):
    ada = await world.owner()
    eve = await world.join(ada.header, "eve@example.com", role=ROLE.owner)

    def end(by, whom):
        user_id = whom.session.user.id
        if how == "deactivated":
            return deactivate(world, by.header, user_id)
        return update(world, by.header, user_id, role=ROLE.viewer)

    outcomes = await asyncio.gather(end(ada, eve), end(eve, ada), return_exceptions=True)
    refused = [each.reason for each in outcomes if isinstance(each, Refusal)]
    # Whose session or role has ended before the call was looked at is not even asked.
    assert refused in (["LAST_OWNER"], ["UNAUTHENTICATED"], ["ROLE_FORBIDDEN"])


async def test_nobody_gives_or_touches_what_stands_above_them(world):
    owner = await world.owner()
    admin = await world.join(owner.header, "admin@example.com", role=ROLE.admin)
    editor = await world.join(owner.header, "ed@example.com", role=ROLE.editor)
    for role in (ROLE.owner, ROLE.developer, ROLE.system_bot):
        assert (
            await reason(update(world, admin.header, editor.session.user.id, role=role))
            == "ROLE_FORBIDDEN"
        )
        assert (
            await reason(world.invite(admin.header, "x@example.com", role=role)) == "ROLE_FORBIDDEN"
        )
    for attempt in (
        update(world, owner.header, editor.session.user.id, role=ROLE.developer),
        update(world, admin.header, owner.session.user.id, role=ROLE.viewer),
        update(world, admin.header, owner.session.user.id, name="Mine"),
        deactivate(world, admin.header, owner.session.user.id),
        update(world, editor.header, editor.session.user.id, role=ROLE.admin),
    ):
        assert await reason(attempt) == "ROLE_FORBIDDEN"
    changed = await update(world, admin.header, editor.session.user.id, role=ROLE.admin)
    assert changed.role == ROLE.admin
    # The new role counts from the next call on.
    assert (await world.caller(editor.header)).role == "admin"


async def test_sites_are_granted_and_withdrawn_at_once(world):
    owner = await world.owner()
    viewer = await world.join(owner.header, "v@example.com")
    user_id, site_id = viewer.session.user.id, owner.session.site_id
    assert (await world.caller(viewer.header)).allowed_sites == ()
    for _ in range(2):
        user = await grant(world, owner.header, user_id, site_id)
        assert list(user.granted_site_ids) == [site_id]
    assert (await world.caller(viewer.header)).allowed_sites == (site_id,)
    for _ in range(2):
        user = await grant(world, owner.header, user_id, site_id, "RemoveSiteAccess")
        assert list(user.granted_site_ids) == []
    assert (await world.caller(viewer.header)).allowed_sites == ()
    granted = await world.audit(owner.header, action="user.site_granted")
    assert len(granted) == 1


async def test_a_repeated_or_empty_change_leaves_no_trace(world):
    owner = await world.owner()
    eve = await world.join(owner.header, "eve@example.com")
    user_id = eve.session.user.id
    first = await update(world, owner.header, user_id, name=" Eve ")
    again = await update(world, owner.header, user_id, name="Eve", etag=first.etag)
    assert first.name == "Eve"
    assert again == first == await update(world, owner.header, user_id)
    assert await reason(update(world, owner.header, user_id, name="E", etag="1")) == "ETAG_MISMATCH"
    assert len(await world.audit(owner.header, object_id=user_id)) == 1


async def test_who_changes_an_old_user_is_told_which_fields_are_others_now(world):
    owner = await world.owner()
    eve = (await world.join(owner.header, "eve@example.com")).session.user
    site_id = owner.session.site_id
    steps = {
        "role": update(world, owner.header, eve.id, role=ROLE.editor),
        "granted_site_ids": grant(world, owner.header, eve.id, site_id),
        "deactivate_time": deactivate(world, owner.header, eve.id),
    }
    etag = eve.etag
    for name, step in steps.items():
        changed = await step
        with pytest.raises(Refusal) as caught:
            await update(world, owner.header, eve.id, name="Eve", etag=etag)
        assert caught.value.reason == "ETAG_MISMATCH"
        assert [violation.field for violation in caught.value.violations] == [name]
        etag = changed.etag
    assert (await update(world, owner.header, eve.id, name="Eve", etag=etag)).name == "Eve"


async def test_a_new_password_is_no_change_that_others_could_have_read(world):
    owner = await world.owner()
    change = sessions_pb2.ChangePasswordRequest(
        current_password=PASSWORD, new_password="a better password"
    )
    await world.call("ChangePassword", change, owner.header)
    user = await update_me(world, owner.header, name="Ada", etag=owner.session.user.etag)
    assert user.name == "Ada"
    assert await world.login(password="a better password")


async def test_a_mask_says_what_is_changed_even_to_nothing(world):
    owner = await world.owner()
    await update_me(world, owner.header, name="Ada", active_site_id=owner.session.site_id)
    user = await update_me(world, owner.header, name="", update_mask={"paths": ["name"]})
    assert (user.name, user.active_site_id) == ("", owner.session.site_id)
    assert await reason(update_me(world, owner.header, update_mask={"paths": ["role"]})) == (
        "INVALID_FIELDS"
    )
    nothing = {"update_mask": {"paths": ["role"]}}
    with pytest.raises(Refusal) as caught:
        await update(world, owner.header, owner.session.user.id, **nothing)
    assert [violation.field for violation in caught.value.violations] == ["role"]


async def test_the_active_site_is_where_one_begins(world):
    owner = await world.owner()
    second = await world.make_site(owner.header, "Second")
    await update_me(world, owner.header, active_site_id=second.id)
    session = await world.login()
    assert (session.site_id, session.sector_id) == (second.id, second.default_sector_id)
    me = await world.call("GetMe", identity_pb2.GetMeRequest(), owner.header)
    assert (me.site_id, me.sector_id) == (second.id, second.default_sector_id)
    viewer = await world.join(
        owner.header, "v@example.com", granted_site_ids=[owner.session.site_id]
    )
    stranger = await world.owner("bob@example.com")
    for site_id in (second.id, stranger.session.site_id, new_id()):
        assert await reason(update_me(world, viewer.header, active_site_id=site_id)) == (
            "INVALID_FIELDS"
        )
    # A site that was withdrawn is passed over.
    user_id = viewer.session.user.id
    await grant(world, owner.header, user_id, second.id)
    await update_me(world, viewer.header, active_site_id=second.id)
    await grant(world, owner.header, user_id, second.id, "RemoveSiteAccess")
    assert (await world.login("v@example.com")).site_id == owner.session.site_id


async def test_users_and_sites_of_another_account_are_unknown(world):
    owner, other = await world.owner(), await world.owner("bob@example.com")
    foreign, own = other.session.user.id, owner.session.user.id
    eve = await world.join(owner.header, "eve@example.com")
    calls = [
        lambda user_id: update(world, owner.header, user_id, name="x"),
        lambda user_id: deactivate(world, owner.header, user_id),
        lambda user_id: grant(world, owner.header, user_id, owner.session.site_id),
        lambda user_id: grant(
            world, owner.header, user_id, owner.session.site_id, "RemoveSiteAccess"
        ),
        lambda user_id: world.call(
            "ReactivateUser", users_pb2.ReactivateUserRequest(id=user_id), owner.header
        ),
        lambda user_id: world.call("GetUser", users_pb2.GetUserRequest(id=user_id), owner.header),
    ]
    for call in calls:
        told = []
        for user_id in (foreign, new_id()):
            with pytest.raises(Refusal) as caught:
                await call(user_id)
            told.append((caught.value.reason, caught.value.message.replace(user_id, "…")))
        assert told[0] == told[1]
        assert told[0][0] == "NOT_FOUND"
    for site_id in (other.session.site_id, new_id()):
        attempt = grant(world, owner.header, eve.session.user.id, site_id)
        assert await reason(attempt) == "NOT_FOUND"
    assert await listed(world, other.header) == ["bob@example.com"]
    assert own != foreign


async def test_a_key_of_one_site_has_no_say_over_people(world):
    owner = await world.owner()
    key = await world.make_key(owner.header, role=ROLE.admin, limited_site_id=owner.session.site_id)
    header = f"ApiKey {key.key}"
    for attempt in (
        listed(world, header),
        deactivate(world, header, owner.session.user.id),
        grant(world, header, owner.session.user.id, owner.session.site_id),
        world.invite(header, "x@example.com", role=ROLE.admin),
        world.audit(header),
    ):
        assert await reason(attempt) == "SITE_FORBIDDEN"
    assert await reason(update_me(world, header, name="x")) == "ROLE_FORBIDDEN"
