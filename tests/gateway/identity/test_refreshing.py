"""Going on without a password: a chain of tokens that neither a thief nor a bad line breaks."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from writer.identity.v1 import identity_pb2

from chassis import clock
from chassis.errors import Refusal
from gateway.identity.forgetting import Forgetting
from gateway.identity.schema import refresh_tokens, sessions

pytestmark = pytest.mark.usefixtures("cheap_passwords")

ME = identity_pb2.GetMeRequest()
LATER = timedelta(minutes=1)


async def reason(attempt):
    with pytest.raises(Refusal) as caught:
        await attempt
    return caught.value.reason


async def test_a_refresh_token_is_exchanged_for_the_next_tokens(world):
    first = await world.register()
    assert first.refresh_expires_in_s == 7 * 24 * 3600
    second = await world.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    assert (second.user, second.account, second.site_id) == (
        first.user,
        first.account,
        first.site_id,
    )
    me = await world.call("GetMe", ME, f"Bearer {second.access_token}")
    assert me.user == first.user
    third = await world.refresh(second.refresh_token)
    assert await world.works(third)
    assert 7 * 24 * 3600 - 5 <= third.refresh_expires_in_s <= 7 * 24 * 3600


async def test_twins_and_a_repeat_after_a_lost_answer_get_the_same_next_token(world):
    first = await world.register()
    twins = await asyncio.gather(*(world.refresh(first.refresh_token) for _ in range(4)))
    repeat = await world.refresh(first.refresh_token)
    assert len({each.refresh_token for each in [*twins, repeat]}) == 1
    for each in (*twins, repeat):
        assert await world.works(each)
    assert await world.works(await world.refresh(repeat.refresh_token))


async def test_a_token_that_comes_again_later_ends_its_session_and_no_other(world):
    first, other = await world.register(), await world.login()
    second = await world.refresh(first.refresh_token)
    start = clock.now()
    with clock.frozen(lambda: start + LATER):
        assert await reason(world.refresh(first.refresh_token)) == "UNAUTHENTICATED"
        assert world.changes == [first.account.id]
        assert not await world.works(second)
        assert await reason(world.refresh(second.refresh_token)) == "UNAUTHENTICATED"
        assert await world.works(await world.refresh(other.refresh_token))
    [entry, *_] = await world.audit(f"Bearer {other.access_token}", action="session.ended")
    assert (entry.reason, entry.after["user_id"]) == ("token_reused", first.user.id)


async def test_a_token_whose_successor_was_used_ends_the_session_even_at_once(world):
    first = await world.register()
    second = await world.refresh(first.refresh_token)
    third = await world.refresh(second.refresh_token)
    assert await reason(world.refresh(first.refresh_token)) == "UNAUTHENTICATED"
    assert not await world.works(third)


async def test_a_clock_that_is_put_back_logs_nobody_out(world):
    first = await world.register()
    second = await world.refresh(first.refresh_token)
    start = clock.now()
    with clock.frozen(lambda: start - timedelta(hours=2)):
        again = await world.refresh(first.refresh_token)
        assert again.refresh_token == second.refresh_token
        assert await world.works(await world.refresh(again.refresh_token))


async def test_a_refresh_token_lives_seven_days_and_a_session_ninety(world):
    session = await world.register()
    start = clock.now()
    with clock.frozen(lambda: start + timedelta(days=7)):
        assert await reason(world.refresh(session.refresh_token)) == "TOKEN_EXPIRED"
    session = await world.login()
    for day in range(6, 90, 6):
        with clock.frozen(lambda day=day: start + timedelta(days=day)):
            session = await world.refresh(session.refresh_token)
    with clock.frozen(lambda: start + timedelta(days=90, seconds=5)):
        assert await reason(world.refresh(session.refresh_token)) == "TOKEN_EXPIRED"


async def test_what_is_no_refresh_token_of_ours_is_refused_alike(world):
    session = await world.register()
    mark, row_id, secret = session.refresh_token.split("_", 2)
    known = [
        f"{mark}_{row_id}_{secret[:-2]}AA",
        f"wi_{row_id}_{secret}",
        f"{mark}_{session.user.id}_{secret}",
        session.access_token[:200],
        "x",
        "wr__",
        session.refresh_token + "A",
    ]
    told = set()
    for text in known:
        with pytest.raises(Refusal) as caught:
            await world.refresh(text)
        told.add((caught.value.reason, caught.value.message))
    assert len(told) == 1
    # None of it counts as using the token twice.
    assert await world.works(await world.refresh(session.refresh_token))


async def test_people_and_accounts_that_are_shut_out_cannot_go_on(world):
    one, two = await world.register(), await world.register("bob@example.com")
    await world.deactivate(one.user.id)
    assert await reason(world.refresh(one.refresh_token)) == "UNAUTHENTICATED"
    await world.set_status(two.account.id, "suspended")
    assert await reason(world.refresh(two.refresh_token)) == "ACCOUNT_INACTIVE"
    await world.set_status(two.account.id, "active")
    assert await world.works(await world.refresh(two.refresh_token))


async def test_no_token_is_stored_in_a_form_that_could_be_used(world):
    first = await world.register()
    second = await world.refresh(first.refresh_token)
    for table in (refresh_tokens, sessions):
        stored = str(await world.database.read(lambda c, t=table: c.execute(select(t)).all()))
        for session in (first, second):
            assert session.refresh_token.split("_", 2)[2] not in stored
            assert session.access_token not in stored


async def test_what_is_long_over_is_forgotten_and_what_goes_on_is_not(world):
    session = await world.register()
    session = await world.refresh(session.refresh_token)
    forgetting, start = Forgetting(world.database), clock.now()
    assert await forgetting.once() == 0
    assert await world.works(session)
    with clock.frozen(lambda: start + timedelta(days=9)):
        assert await forgetting.once() == 2
    with clock.frozen(lambda: start + timedelta(days=121)):
        assert await forgetting.once() == 1
    assert not await world.works(session)
