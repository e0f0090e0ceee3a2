"""Operators on other accounts, and the log in which both accounts find it."""

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DBAPIError
from writer.identity.v1 import accounts_pb2, identity_pb2, sessions_pb2, users_pb2

from chassis.errors import Refusal
from chassis.ids import new_id
from gateway.identity.__main__ import main
from gateway.identity.schema import audit_entries

from .conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("cheap_passwords")

ROLE = identity_pb2.Role


async def reason(attempt):
    with pytest.raises(Refusal) as caught:
        await attempt
    return caught.value.reason


async def test_an_operator_acts_on_another_account_and_both_have_it_in_writing(world):
    operator, owner = await world.operator(), await world.owner()
    account_id, home_id = owner.session.account.id, operator.session.account.id
    who = await world.acting(operator, account_id)
    assert (who.account_id, who.acting_for, who.role) == (account_id, home_id, "developer")
    assert who.allowed_sites is None
    account = await world.call_as("GetAccount", accounts_pb2.GetAccountRequest(), who)
    assert account.id == account_id
    me = await world.call_as("GetMe", identity_pb2.GetMeRequest(), who)
    assert (me.user.id, me.account.id) == (operator.session.user.id, account_id)
    for header in (owner.header, operator.header):
        [entry] = await world.audit(header, action="account.acted_on")
        assert entry.actor == f"user:{operator.session.user.id}"
        assert (entry.object_id, entry.reason) == (account_id, "Ticket 7")
        assert (entry.client_address, entry.request_id) == ("192.0.2.7", "r-1")
        assert entry.after["method"] == "/a/B"
    [entry] = await world.audit(owner.header, actor=f"user:{operator.session.user.id}")
    assert entry.acting_for == home_id


async def test_what_an_operator_changes_there_names_them_and_makes_nobody_an_operator(world):
    operator, owner = await world.operator(), await world.owner()
    eve = await world.join(owner.header, "eve@example.com")
    who = await world.acting(operator, owner.session.account.id)
    raise_to = users_pb2.UpdateUserRequest(id=eve.session.user.id, role=ROLE.owner)
    await world.call_as("UpdateUser", raise_to, who)
    [entry] = await world.audit(owner.header, action="user.role_changed")
    assert entry.acting_for == operator.session.account.id
    assert (entry.before["role"], entry.after["role"]) == ("viewer", "owner")
    raise_to.role = ROLE.developer
    assert await reason(world.call_as("UpdateUser", raise_to, who)) == "ROLE_FORBIDDEN"
    change = sessions_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password="x" * 10)
    for method, request in (
        ("ChangePassword", change),
        ("Logout", sessions_pb2.LogoutRequest()),
        ("UpdateMe", users_pb2.UpdateMeRequest(name="x")),
    ):
        assert await reason(world.call_as(method, request, who)) == "ROLE_FORBIDDEN"


async def test_nobody_else_acts_and_nobody_learns_which_accounts_there_are(world):
    operator, owner = await world.operator(), await world.owner()
    other = await world.owner("bob@example.com")
    for account_id in (other.session.account.id, new_id()):
        assert await reason(world.acting(owner, account_id)) == "ROLE_FORBIDDEN"
    assert await reason(world.acting(operator, new_id())) == "NOT_FOUND"
    assert await world.audit(other.header, action="account.acted_on") == []


async def test_who_is_no_operator_any_more_does_not_act(world):
    operator, owner = await world.operator(), await world.owner()
    await world.set_role(operator.session.user.id, "owner")
    assert await reason(world.acting(operator, owner.session.account.id)) == "ROLE_FORBIDDEN"


async def test_the_log_is_listed_by_filters_and_pages_for_admins_of_the_account(world):
    owner, other = await world.owner(), await world.owner("bob@example.com")
    keys = [await world.make_key(owner.header, name=f"key {number}") for number in range(3)]
    made = await world.audit(owner.header, action="api_key.created")
    assert [entry.object_id for entry in made] == [key.id for key in reversed(keys)]
    assert {entry.object_type for entry in made} == {"api_key"}
    assert {entry.actor for entry in made} == {f"user:{owner.session.user.id}"}
    middle = made[1].create_time
    since = await world.audit(owner.header, action="api_key.created", start_time=middle)
    before = await world.audit(owner.header, action="api_key.created", end_time=middle)
    assert {each.id for each in since} | {each.id for each in before} == {each.id for each in made}
    assert made[1].id in {each.id for each in since}
    assert [each.action for each in await world.audit(other.header)] == [
        "session.started",
        "account.registered",
    ]
    assert keys[0].key not in str(made)
    viewer = await world.join(owner.header, "v@example.com")
    assert await reason(world.audit(viewer.header)) == "ROLE_FORBIDDEN"
    page = await world.audit(owner.header, page_size=2)
    assert len(page) == 2


async def test_the_database_changes_and_deletes_nothing_of_the_log(world):
    owner = await world.owner()
    mine = audit_entries.c.account_id == owner.session.account.id
    rows = await world.database.read(
        lambda c: c.execute(select(audit_entries).where(mine)).mappings().all()
    )
    attempts = [update(audit_entries).where(mine).values(actor="nobody")]
    attempts += [delete(audit_entries).where(mine)]
    if world.database.dialect == "sqlite":
        attempts += [insert(audit_entries).prefix_with("OR REPLACE").values(**rows[0])]
    for attempt in attempts:
        with pytest.raises(DBAPIError, match="append-only"):
            await world.database.write(lambda c, statement=attempt: c.execute(statement))
    entries = await world.audit(owner.header)
    assert len(entries) == len(rows)
    assert {entry.actor for entry in entries} == {f"user:{owner.session.user.id}"}


async def test_the_first_operator_is_appointed_by_command(
    world, database_urls, monkeypatch, capsys
):
    owner = await world.owner()
    url = database_urls[world.database.dialect]
    monkeypatch.setenv("WRITER_DATABASE_URL", url)
    from asyncio import to_thread

    assert await to_thread(main, ["appoint", "ADA@example.com"]) == 0
    assert (await world.caller(owner.header)).role == "developer"
    [entry] = await world.audit(owner.header, action="user.role_changed")
    assert (entry.actor, entry.after["role"]) == ("command", "developer")
    assert await to_thread(main, ["appoint", "nobody@example.com"]) == 1
    monkeypatch.delenv("WRITER_DATABASE_URL")
    assert await to_thread(main, ["appoint", "ada@example.com"]) == 1
    assert "WRITER_DATABASE_URL" in capsys.readouterr().err
