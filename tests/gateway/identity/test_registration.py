"""Registering: one account, one grant of credits, whatever is repeated or lost."""

import asyncio

import pytest
from sqlalchemy import select
from writer.identity.v1 import identity_pb2, sites_pb2

from chassis.errors import Refusal
from chassis.plumbing import new_metadata
from gateway.identity.schema import accounts, users

from .conftest import PASSWORD

REQUEST = "7b1d0b1e-0000-4000-8000-000000000001"


async def test_registering_makes_an_account_with_owner_site_sector_and_credits(world):
    session = await world.register(
        "Ada@Example.COM",
        name="Ada",
        account_name="Engines",
        site_name="Blog",
        sector_name="News",
    )
    assert session.user.email == "ada@example.com"
    assert session.user.name == "Ada"
    assert session.user.role == identity_pb2.Role.owner
    assert session.account.name == "Engines"
    assert session.account.status == identity_pb2.Account.trial
    assert session.expires_in_s == 15 * 60
    header = f"Bearer {session.access_token}"
    site = await world.call("GetSite", sites_pb2.GetSiteRequest(id=session.site_id), header)
    assert (site.name, site.default_sector_id) == ("Blog", session.sector_id)
    sector = await world.call("GetSector", sites_pb2.GetSectorRequest(id=session.sector_id), header)
    assert (sector.name, sector.site_id) == ("News", session.site_id)
    [who] = world.billing.callers
    assert (who.account_id, who.principal) == (session.account.id, "service:gateway")


async def test_names_that_were_left_out_or_blank_have_defaults(world):
    session = await world.register(site_name="  ")
    header = f"Bearer {session.access_token}"
    assert session.account.name == "ada@example.com"
    site = await world.call("GetSite", sites_pb2.GetSiteRequest(id=session.site_id), header)
    sector = await world.call("GetSector", sites_pb2.GetSectorRequest(id=session.sector_id), header)
    assert (site.name, sector.name) == ("My site", "General")


async def test_an_address_is_taken_in_whatever_case_and_whose_it_is_is_not_told(world):
    first = await world.register("ada@example.com")
    with pytest.raises(Refusal) as caught:
        await world.register("ADA@example.com")
    refusal = caught.value
    assert refusal.reason == "ALREADY_EXISTS"
    assert [violation.field for violation in refusal.violations] == ["email"]
    assert first.account.id not in str(refusal.metadata)
    assert first.user.id not in str(refusal.metadata)
    assert world.billing.opened == {first.account.id}


async def test_a_repeat_after_a_lost_answer_gives_the_same_account_and_one_grant(world):
    first = await world.register(request_id=REQUEST)
    again = await world.register(request_id=REQUEST)
    assert again.account == first.account
    assert again.user == first.user
    assert (again.site_id, again.sector_id) == (first.site_id, first.sector_id)
    await world.call("GetMe", identity_pb2.GetMeRequest(), f"Bearer {again.access_token}")
    assert world.billing.opened == {first.account.id}


async def test_a_repeat_goes_on_where_a_lost_answer_of_billing_ended_the_first(world):
    world.billing.lost_answers = 1
    with pytest.raises(Refusal) as caught:
        await world.register(request_id=REQUEST)
    assert caught.value.reason == "INTERNAL"
    assert await _count(world, accounts) == 0
    session = await world.register(request_id=REQUEST)
    assert world.billing.opened == {session.account.id}
    assert world.billing.calls[session.account.id] == 2


async def test_twins_at_the_same_time_make_one_account(world):
    sessions = await asyncio.gather(*(world.register(request_id=REQUEST) for _ in range(3)))
    assert len({session.account.id for session in sessions}) == 1
    assert await _count(world, accounts) == 1
    assert world.billing.opened == {sessions[0].account.id}


async def test_two_strangers_with_one_address_at_the_same_time_make_one_account(world):
    outcomes = await asyncio.gather(*(world.register() for _ in range(3)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert [refusal.reason for refusal in refused] == ["ALREADY_EXISTS"] * 2
    assert await _count(world, accounts) == 1


async def test_a_request_id_with_another_body_is_refused_and_changes_nothing(world):
    await world.register(request_id=REQUEST)
    for other in (
        {"password": "a guessed password"},
        {"name": "Eve"},
    ):
        with pytest.raises(Refusal) as caught:
            await world.register(**({"request_id": REQUEST} | other))
        assert caught.value.reason == "REQUEST_ID_REUSED"
    assert await _count(world, users) == 1


async def test_the_request_ids_of_strangers_do_not_meet(world):
    ada = await world.register(request_id=REQUEST)
    eve = await world.register("eve@example.com", request_id=REQUEST)
    assert eve.account.id != ada.account.id
    assert world.billing.opened == {ada.account.id, eve.account.id}


async def test_an_account_whose_answer_was_forgotten_is_not_given_to_another(world):
    ada = await world.register(request_id=REQUEST)
    replies = new_metadata().tables["replies"]
    await world.database.write(lambda connection: connection.execute(replies.delete()))
    eve = await world.register("eve@example.com", request_id=REQUEST)
    assert eve.account.id != ada.account.id
    with pytest.raises(Refusal) as caught:
        await world.register(request_id=REQUEST, password="a guessed password")
    assert caught.value.reason == "ALREADY_EXISTS"
    assert await _count(world, users) == 2


async def test_neither_password_nor_token_is_stored(world):
    session = await world.register(request_id=REQUEST)
    replies = new_metadata().tables["replies"]
    stored = str(await _rows(world, replies)) + str(await _rows(world, users))
    assert PASSWORD not in stored
    assert session.access_token not in stored
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in stored


async def test_what_is_remembered_of_a_request_does_not_depend_on_its_password(world):
    replies = new_metadata().tables["replies"]
    remembered = []
    for password in (PASSWORD, "another one of ten"):
        await world.register(request_id=REQUEST, password=password)
        [row] = await _rows(world, replies)
        remembered.append((row.request_hash, row.response))
        await world.empty()
    assert remembered[0] == remembered[1]


async def test_a_field_at_fault_is_named_and_no_credits_are_granted(world):
    for field, value in (("email", "nobody"), ("email", ""), ("password", "short")):
        with pytest.raises(Refusal) as caught:
            await world.register(**{field: value})
        assert caught.value.reason == "INVALID_FIELDS"
        assert {violation.field for violation in caught.value.violations} == {field}
    assert not world.billing.opened


async def _rows(world, table):
    return await world.database.read(lambda connection: connection.execute(select(table)).all())


async def _count(world, table):
    return len(await _rows(world, table))
