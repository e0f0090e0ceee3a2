"""What the gateway asks of identity: principals behind credentials, scopes behind choices."""

import logging
from types import SimpleNamespace

import pytest
from writer.identity.v1 import identity_pb2, identity_pb2_grpc

from chassis.caller import Caller, Signer
from chassis.client import Peer
from chassis.errors import Kind, Refusal
from chassis.ids import new_id
from gateway.admission.principals import Principal, Scope

from .conftest import ANONYMOUS, PASSWORD

pytestmark = pytest.mark.usefixtures("cheap_passwords")


async def test_a_user_and_a_key_are_told_apart(world):
    owner = await world.owner()
    key = await world.make_key(owner.header, role=1, limited_site_id=owner.session.site_id)
    user = await world.authenticator.authenticate(owner.header)
    program = await world.authenticator.authenticate(f"ApiKey {key.key}")
    assert (user.principal, user.role) == (f"user:{owner.session.user.id}", "owner")
    assert (user.account_id, user.allowed_sites) == (owner.session.account.id, None)
    assert user.email == "ada@example.com"
    assert (program.principal, program.role) == (f"key:{key.id}", "viewer")
    assert program.account_id == owner.session.account.id
    assert program.allowed_sites == (owner.session.site_id,)
    assert program.expire_time is None


async def test_an_editor_may_touch_the_granted_sites(world):
    owner = await world.owner()
    header = await world.add_user(owner.session.account.id, "editor", owner.session.site_id)
    principal = await world.authenticator.authenticate(header)
    assert (principal.role, principal.allowed_sites) == ("editor", (owner.session.site_id,))


async def test_the_scheme_is_read_in_any_case_and_with_blanks_around(world):
    owner = await world.owner()
    token = owner.session.access_token
    key = await world.make_key(owner.header)
    spelled = (f"bearer {token}", f"BEARER  {token} ", f"apikey {key.key}", f" APIKEY {key.key}")
    for header in spelled:
        principal = await world.authenticator.authenticate(header)
        assert principal.account_id == owner.session.account.id


NO_CREDENTIALS = [
    None,
    "",
    " ",
    "Bearer",
    "Bearer ",
    "Bearer x.y.z",
    "Bearer é",
    "Bearer " + "x" * 5_000,
    "ApiKey",
    "ApiKey ",
    "ApiKey é",
    "ApiKey wk_0123456789_secret",
    "Basic YTpi",
    "\x00 \x00",
]


async def test_what_is_no_credential_is_refused(world):
    for header in NO_CREDENTIALS:
        with pytest.raises(Refusal) as caught:
            await world.authenticator.authenticate(header)
        refusal = caught.value
        assert (refusal.kind, refusal.reason) == (Kind.UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_a_key_with_the_right_prefix_and_another_secret_is_unknown(world):
    owner = await world.owner()
    key = await world.make_key(owner.header)
    await world.call("RevokeApiKey", identity_pb2.RevokeApiKeyRequest(id=key.id), owner.header)
    with pytest.raises(Refusal) as caught:
        await world.authenticator.authenticate(f"ApiKey {key.prefix}_{'A' * 43}")
    # Not KEY_REVOKED: that is told to who has the secret.
    assert caught.value.reason == "UNAUTHENTICATED"


async def test_a_token_for_a_user_who_is_gone_is_refused(world):
    header = await world.add_user((await world.owner()).session.account.id, "admin")
    who = await world.caller(header)
    elsewhere = await world.owner("bob@example.com")
    user_id = who.principal.removeprefix("user:")
    moved = world.tokens.mint(
        SimpleNamespace(
            id=user_id, account_id=elsewhere.session.account.id, role=SimpleNamespace(value="admin")
        ),
        who.session_id,
    )
    with pytest.raises(Refusal) as caught:
        await world.authenticator.authenticate(f"Bearer {moved}")
    assert caught.value.reason == "UNAUTHENTICATED"


async def test_methods_that_are_not_public_need_a_principal(world):
    with pytest.raises(Refusal) as caught:
        await world.call_as("GetMe", identity_pb2.GetMeRequest(), ANONYMOUS)
    assert caught.value.reason == "UNAUTHENTICATED"


async def test_another_service_may_call_nothing_of_identity(world):
    peer = Peer("identity", world.address, Signer("tasks", world.keys.tasks))
    who = Caller.service("tasks", account_id=(await world.owner()).session.account.id)
    stub = peer.stub(identity_pb2_grpc.IdentityServiceStub)
    with pytest.raises(Refusal) as caught:
        await peer.call(stub.GetMe, identity_pb2.GetMeRequest(), who)
    await peer.close()
    assert caught.value.reason == "ROLE_FORBIDDEN"


async def test_a_choice_is_filled_in_from_what_it_implies(world):
    owner = await world.owner()
    principal = await world.authenticator.authenticate(owner.header)
    site_id, sector_id = owner.session.site_id, owner.session.sector_id
    full = Scope(site_id=site_id, sector_id=sector_id, sector_name="General")
    assert await _resolve(world, principal, site_id, "") == Scope(site_id=site_id)
    assert await _resolve(world, principal, "", sector_id) == full
    assert await _resolve(world, principal, site_id, sector_id) == full


async def test_a_foreign_choice_is_refused_in_the_words_for_an_unknown_one(world):
    owner = await world.owner()
    other = await world.owner("bob@example.com")
    principal = await world.authenticator.authenticate(owner.header)
    theirs = {"site": other.session.site_id, "sector": other.session.sector_id}
    unknown = {"site": new_id(), "sector": new_id()}
    own = {"own site": owner.session.site_id, "": ""}
    choices = [
        ("site", "", "site_id"),
        ("site", "sector", "site_id"),
        ("", "sector", "sector_id"),
        ("own site", "sector", "sector_id"),
    ]
    for site, sector, field in choices:
        told = [
            await _refusal(world, principal, (own | ids)[site], (own | ids)[sector])
            for ids in (theirs, unknown)
        ]
        assert told[0].reason == "INVALID_FIELDS"
        assert [violation.field for violation in told[0].violations] == [field]
        assert told[0].message == told[1].message
        assert told[0].violations == told[1].violations


async def test_a_sector_of_another_site_is_refused(world):
    owner = await world.owner()
    shop = await world.make_site(owner.header, "Shop")
    principal = await world.authenticator.authenticate(owner.header)
    refusal = await _refusal(world, principal, owner.session.site_id, shop.default_sector_id)
    assert [violation.field for violation in refusal.violations] == ["sector_id"]


async def test_a_site_that_was_not_granted_is_forbidden(world):
    owner = await world.owner()
    granted = await world.make_site(owner.header, "Granted")
    header = await world.add_user(owner.session.account.id, "editor", granted.id)
    principal = await world.authenticator.authenticate(header)
    scope = await _resolve(world, principal, granted.id, granted.default_sector_id)
    assert scope.site_id == granted.id
    for choice in ((owner.session.site_id, ""), ("", owner.session.sector_id)):
        refusal = await _refusal(world, principal, *choice)
        assert (refusal.kind, refusal.reason) == (Kind.PERMISSION_DENIED, "SITE_FORBIDDEN")


async def test_without_an_account_no_site_is_known(world):
    owner = await world.owner()
    nobody = Principal(principal="anonymous", role="", account_id="", allowed_sites=())
    refusal = await _refusal(world, nobody, owner.session.site_id, "")
    assert refusal.reason == "INVALID_FIELDS"


async def test_credentials_are_in_no_log_line_and_in_no_refusal(world, caplog):
    caplog.set_level(logging.DEBUG)
    owner = await world.owner()
    key = await world.make_key(owner.header)
    broken = owner.session.access_token[:-8] + "AAAAAAAA"
    told = []
    for header in (f"Bearer {broken}", f"ApiKey {key.key[:-1]}", f"Basic {PASSWORD}"):
        with pytest.raises(Refusal) as caught:
            await world.authenticator.authenticate(header)
        told.append(f"{caught.value!r} {caught.value.metadata}")
    with pytest.raises(Refusal) as caught:
        await world.login(password=f"{PASSWORD} ")
    told.append(f"{caught.value!r} {caught.value.metadata}")
    text = "\n".join([caplog.text, *told, *(str(vars(record)) for record in caplog.records)])
    for secret in (PASSWORD, owner.session.access_token, broken, key.key, key.key[:-1]):
        assert secret not in text


async def _resolve(world, principal, site_id, sector_id):
    return await world.scopes.resolve(principal, site_id, sector_id, needs_sector=False)


async def _refusal(world, principal, site_id, sector_id):
    with pytest.raises(Refusal) as caught:
        await _resolve(world, principal, site_id, sector_id)
    return caught.value
