"""Accounts: their settings, and being shut out of them by operators."""

import pytest
from sqlalchemy import select
from writer.identity.v1 import accounts_pb2, identity_pb2

from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.plumbing import new_metadata

pytestmark = pytest.mark.usefixtures("cheap_passwords")

STATUS = identity_pb2.Account.Status
APP = "https://app.example.com"


async def update(world, header, **fields):
    return await world.call("UpdateAccount", accounts_pb2.UpdateAccountRequest(**fields), header)


async def set_state(world, header, verb, account_id, reason="Unpaid"):
    request = getattr(accounts_pb2, f"{verb}AccountRequest")(id=account_id, reason=reason)
    return await world.call(f"{verb}Account", request, header)


async def reason(attempt):
    with pytest.raises(Refusal) as caught:
        await attempt
    return caught.value.reason


async def changes(attempt):
    """What the refusal of a change names."""
    with pytest.raises(Refusal) as caught:
        await attempt
    assert caught.value.reason == "ETAG_MISMATCH"
    return [violation.field for violation in caught.value.violations]


async def test_an_account_is_renamed_once_however_often_it_is_asked(world):
    owner = await world.owner()
    first = await update(world, owner.header, name=" Engines ")
    again = await update(world, owner.header, name="Engines")
    assert (first.name, first.etag.partition(".")[0]) == ("Engines", "2")
    assert again == first
    got = await world.call("GetAccount", accounts_pb2.GetAccountRequest(), owner.header)
    assert got == first
    assert await reason(update(world, owner.header, name="x", etag="1")) == "ETAG_MISMATCH"
    empty = update(world, owner.header, update_mask={"paths": ["name"]})
    assert await reason(empty) == "INVALID_FIELDS"
    [entry] = await world.audit(owner.header, action="account.updated")
    assert (entry.before["name"], entry.after["name"]) == ("ada@example.com", "Engines")


async def test_origins_are_kept_as_browsers_send_them_and_found_by_account(world):
    owner, other = await world.owner(), await world.owner("bob@example.com")
    sent = ["HTTPS://App.Example.com:443", "http://localhost:5173", APP]
    account = await update(world, owner.header, allowed_origins=sent)
    assert list(account.allowed_origins) == ["http://localhost:5173", APP]
    origins = world.identity.origins
    assert await origins.is_known(APP)
    assert await origins.allows(account.id, APP)
    assert not await origins.allows(other.session.account.id, APP)
    for unknown in ("https://app.example.com:8443", "http://app.example.com", "null", ""):
        assert not await origins.is_known(unknown)
    await update(world, owner.header, update_mask={"paths": ["allowed_origins"]})
    assert not await origins.is_known(APP)
    assert (await world.login()).account.allowed_origins == []


async def test_what_is_no_origin_is_refused_by_its_place(world):
    owner = await world.owner()
    with pytest.raises(Refusal) as caught:
        await update(world, owner.header, allowed_origins=[APP, f"{APP}/"])
    assert [each.field for each in caught.value.violations] == ["allowed_origins[1]"]


@pytest.mark.parametrize(("verb", "status"), [("Suspend", "suspended"), ("Cancel", "cancelled")])
async def test_a_stopped_account_is_refused_for_every_credential_until_it_is_reactivated(
    world, verb, status
):
    operator, owner = await world.operator(), await world.owner()
    account_id = owner.session.account.id
    key = await world.make_key(owner.header)
    for _ in range(2):
        stopped = await set_state(world, operator.header, verb, account_id)
        assert stopped.status == STATUS.Value(status)
    assert world.changes[-1] == account_id
    for attempt in (
        world.authenticator.authenticate(owner.header),
        world.authenticator.authenticate(f"ApiKey {key.key}"),
        world.login(),
        world.refresh(owner.session.refresh_token),
        world.acting(operator, account_id),
    ):
        assert await reason(attempt) == "ACCOUNT_INACTIVE"
    back = await set_state(world, operator.header, "Reactivate", account_id, "Paid")
    assert back.status == STATUS.trial
    await world.authenticator.authenticate(f"ApiKey {key.key}")
    assert await world.works(await world.refresh(owner.session.refresh_token))
    told = [(each.action, each.reason) for each in await world.audit(owner.header)]
    assert ("account.reactivated", "Paid") in told
    assert told.count((f"account.{status}", "Unpaid")) == 1
    outbox = new_metadata().tables["outbox"]
    rows = await world.database.read(lambda c: c.execute(select(outbox.c.subject)).scalars().all())
    assert rows == [
        f"writer.{account_id}.-.account.suspended",
        f"writer.{account_id}.-.account.reactivated",
    ]


async def test_who_changes_an_old_account_is_told_which_fields_are_others_now(world):
    operator, owner = await world.operator(), await world.owner()
    read = owner.session.account.etag
    changed = await update(world, owner.header, allowed_origins=[APP, "http://b.example"])
    assert await changes(update(world, owner.header, name="x", etag=read)) == ["allowed_origins"]
    await set_state(world, operator.header, "Suspend", changed.id)
    await world.set_status(changed.id, "active")
    found = await changes(update(world, owner.header, name="x", etag=changed.etag))
    assert found == ["status"]
    got = await world.call("GetAccount", accounts_pb2.GetAccountRequest(), owner.header)
    assert (await update(world, owner.header, name="x", etag=got.etag)).name == "x"


async def test_states_of_an_account_follow_each_other_in_order(world):
    operator, owner = await world.operator(), await world.owner()
    account_id = owner.session.account.id
    await set_state(world, operator.header, "Suspend", account_id)
    await set_state(world, operator.header, "Cancel", account_id)
    again = set_state(world, operator.header, "Suspend", account_id)
    assert await reason(again) == "INVALID_TRANSITION"
    back = await set_state(world, operator.header, "Reactivate", account_id)
    assert back.status == STATUS.trial
    own = set_state(world, operator.header, "Suspend", operator.session.account.id)
    assert await reason(own) == "INVALID_TRANSITION"


async def test_only_operators_stop_accounts_and_only_those_that_exist(world):
    operator, owner = await world.operator(), await world.owner()
    other = await world.owner("bob@example.com")
    for verb in ("Suspend", "Cancel", "Reactivate"):
        for account_id in (other.session.account.id, new_id()):
            attempt = set_state(world, owner.header, verb, account_id)
            assert await reason(attempt) == "ROLE_FORBIDDEN"
        assert await reason(set_state(world, operator.header, verb, new_id())) == "NOT_FOUND"
        attempt = set_state(world, operator.header, verb, other.session.account.id, " ")
        assert await reason(attempt) == "INVALID_FIELDS"
    await world.authenticator.authenticate(other.header)
