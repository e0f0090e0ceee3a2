"""A new secret for a key while the old one goes on to work."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from writer.identity.v1 import identity_pb2, rotation_pb2

from chassis import clock
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.times import to_timestamp
from gateway.identity.forgetting import Forgetting
from gateway.identity.schema import retired_secrets

pytestmark = pytest.mark.usefixtures("cheap_passwords")

REQUEST = "7b1d0b1e-0000-4000-8000-00000000000a"
HOUR_S = 3600


async def rotate(world, header, key_id, **fields):
    request = rotation_pb2.RotateApiKeyRequest(id=key_id, **fields)
    return await world.call("RotateApiKey", request, header)


async def answer(world, key):
    """The reason why a key is refused, or nothing."""
    try:
        await world.authenticator.authenticate(f"ApiKey {key}")
    except Refusal as refusal:
        return refusal.reason
    return ""


async def test_a_rotated_key_keeps_all_but_its_secret_which_ends_at_once(world):
    owner = await world.owner()
    first = await world.make_key(owner.header, name="script")
    second = await rotate(world, owner.header, first.id)
    assert (second.id, second.name, second.role) == (first.id, first.name, first.role)
    assert second.key.startswith(second.prefix)
    assert second.prefix != first.prefix
    assert second.HasField("rotate_time")
    assert await answer(world, second.key) == ""
    assert await answer(world, first.key) == "KEY_REVOKED"
    assert world.changes == [owner.session.account.id]


async def test_the_old_secret_works_for_the_overlap_and_no_cache_keeps_it_longer(world):
    owner = await world.owner()
    first = await world.make_key(owner.header)
    start = clock.now()
    with clock.frozen(lambda: start):
        second = await rotate(world, owner.header, first.id, overlap_s=HOUR_S)
    ends = start + timedelta(hours=1)
    principal = await world.authenticator.authenticate(f"ApiKey {first.key}")
    assert principal.expire_time == ends
    with clock.frozen(lambda: ends):
        assert await answer(world, first.key) == "KEY_REVOKED"
        assert await answer(world, second.key) == ""


async def test_a_rotation_whose_answer_was_lost_is_done_again_while_the_old_secret_works(world):
    owner = await world.owner()
    first = await world.make_key(owner.header)
    lost = await rotate(world, owner.header, first.id, overlap_s=HOUR_S)
    third = await rotate(world, owner.header, first.id, overlap_s=2 * HOUR_S)
    start = clock.now()
    assert [await answer(world, each.key) for each in (first, lost, third)] == ["", "", ""]
    with clock.frozen(lambda: start + timedelta(minutes=61)):
        assert [await answer(world, each.key) for each in (first, lost)] == ["KEY_REVOKED", ""]
    await rotate(world, owner.header, first.id)
    for each in (first, lost, third):
        assert await answer(world, each.key) == "KEY_REVOKED"


async def test_a_repeated_request_rotates_once_and_shows_the_secret_once(world):
    owner = await world.owner()
    first = await world.make_key(owner.header)
    second = await rotate(world, owner.header, first.id, request_id=REQUEST)
    again = await rotate(world, owner.header, first.id, request_id=REQUEST)
    assert (again.prefix, again.key) == (second.prefix, "")
    assert await answer(world, second.key) == ""


async def test_a_revoked_key_ends_with_all_its_secrets_and_gets_no_new_one(world):
    owner = await world.owner()
    first = await world.make_key(owner.header)
    second = await rotate(world, owner.header, first.id, overlap_s=HOUR_S)
    revoke = identity_pb2.RevokeApiKeyRequest(id=first.id)
    await world.call("RevokeApiKey", revoke, owner.header)
    for each in (first, second):
        assert await answer(world, each.key) == "KEY_REVOKED"
    with pytest.raises(Refusal) as caught:
        await rotate(world, owner.header, first.id)
    assert caught.value.reason == "INVALID_TRANSITION"


async def test_a_key_of_another_account_is_unknown(world):
    owner, other = await world.owner(), await world.owner("bob@example.com")
    foreign = await world.make_key(other.header)
    for key_id in (foreign.id, new_id()):
        with pytest.raises(Refusal) as caught:
            await rotate(world, owner.header, key_id)
        assert caught.value.reason == "NOT_FOUND"
    assert await answer(world, foreign.key) == ""


async def test_few_retired_secrets_are_kept_and_none_for_ever(world):
    owner = await world.owner()
    key = await world.make_key(owner.header)
    made = [key] + [await rotate(world, owner.header, key.id, overlap_s=HOUR_S) for _ in range(7)]
    assert [await answer(world, each.key) for each in made] == ["UNAUTHENTICATED"] * 2 + [""] * 6
    start = clock.now()
    with clock.frozen(lambda: start + timedelta(days=32)):
        await Forgetting(world.database).once()
    rows = await world.database.read(lambda c: c.execute(select(retired_secrets)).all())
    assert rows == []


@pytest.mark.parametrize("life_s", [None, HOUR_S])
async def test_a_former_secret_renews_nothing_and_makes_nothing_that_stays(world, life_s):
    owner = await world.owner()
    end = to_timestamp(clock.now() + timedelta(seconds=life_s)) if life_s else None
    first = await world.make_key(owner.header, role=identity_pb2.Role.admin, expire_time=end)
    other = await world.make_key(owner.header)
    second = await rotate(world, owner.header, first.id, overlap_s=2 * HOUR_S)
    former = f"ApiKey {first.key}"
    attempts = [rotate(world, former, key.id) for key in (first, other)]
    for attempt in (*attempts, world.make_key(former)):
        with pytest.raises(Refusal) as caught:
            await attempt
        assert caught.value.reason == "ROLE_FORBIDDEN"
    assert [await answer(world, key.key) for key in (first, second, other)] == ["", "", ""]


async def test_a_key_that_lasts_renews_itself(world):
    owner = await world.owner()
    first = await world.make_key(owner.header, role=identity_pb2.Role.admin)
    second = await rotate(world, f"ApiKey {first.key}", first.id)
    assert [await answer(world, key.key) for key in (first, second)] == ["KEY_REVOKED", ""]
