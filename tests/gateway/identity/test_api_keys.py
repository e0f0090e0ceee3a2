"""API keys: shown once, as strong as their maker allows, and over when they are revoked."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select
from writer.identity.v1 import identity_pb2

from chassis import clock
from chassis.errors import Refusal, Unavailable
from chassis.ids import new_id
from chassis.plumbing import new_metadata
from chassis.times import to_timestamp
from gateway.identity.key_format import make_key, matches, prefix_of
from gateway.identity.last_uses import LastUses
from gateway.identity.schema import api_keys

pytestmark = pytest.mark.usefixtures("cheap_passwords")

ROLE = identity_pb2.Role
REQUEST = "7b1d0b1e-0000-4000-8000-000000000002"
ME = identity_pb2.GetMeRequest()


async def test_a_key_is_shown_once_and_says_who_it_is(world):
    owner = await world.owner()
    key = await world.make_key(owner.header, name=" import script ")
    assert key.key.startswith(f"{key.prefix}_")
    assert (key.name, key.role) == ("import script", ROLE.editor)
    me = await world.call("GetMe", ME, f"ApiKey {key.key}")
    assert (me.api_key.id, me.api_key.prefix, me.role) == (key.id, key.prefix, ROLE.editor)
    assert me.account == owner.session.account
    assert not me.HasField("user")
    listed = await world.call("ListApiKeys", identity_pb2.ListApiKeysRequest(), owner.header)
    assert [(one.id, one.key) for one in listed.api_keys] == [(key.id, "")]
    assert me.api_key.key == ""


async def test_a_key_is_stored_only_as_a_hash(world):
    owner = await world.owner()
    key = await world.make_key(owner.header, request_id=REQUEST)
    secret = key.key.removeprefix(f"{key.prefix}_")
    replies = new_metadata().tables["replies"]
    for table in (api_keys, replies):
        rows = await world.database.read(lambda c, table=table: c.execute(select(table)).all())
        assert rows
        assert secret not in str(rows)


async def test_a_repeat_answers_the_same_key_without_showing_it_again(world):
    owner = await world.owner()
    first = await world.make_key(owner.header, request_id=REQUEST)
    again = await world.make_key(owner.header, request_id=REQUEST)
    assert first.key
    assert again.key == ""
    assert (again.id, again.prefix) == (first.id, first.prefix)
    listed = await world.call("ListApiKeys", identity_pb2.ListApiKeysRequest(), owner.header)
    assert listed.total_size == 1
    with pytest.raises(Refusal) as caught:
        await world.make_key(owner.header, request_id=REQUEST, name="another")
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_a_revoked_key_is_refused_and_the_gateway_is_told(world):
    owner = await world.owner()
    key = await world.make_key(owner.header)
    revoke = identity_pb2.RevokeApiKeyRequest(id=key.id)
    revoked = await world.call("RevokeApiKey", revoke, owner.header)
    assert revoked.HasField("revoke_time")
    assert world.changes == [owner.session.account.id]
    with pytest.raises(Refusal) as caught:
        await world.authenticator.authenticate(f"ApiKey {key.key}")
    assert caught.value.reason == "KEY_REVOKED"
    again = await world.call("RevokeApiKey", revoke, owner.header)
    assert again.revoke_time == revoked.revoke_time


async def test_a_key_ends_when_it_expires(world):
    owner = await world.owner()
    ends = clock.now() + timedelta(minutes=5)
    key = await world.make_key(owner.header, expire_time=to_timestamp(ends))
    principal = await world.authenticator.authenticate(f"ApiKey {key.key}")
    assert principal.expire_time == ends
    with clock.frozen(lambda: ends), pytest.raises(Refusal) as caught:
        await world.authenticator.authenticate(f"ApiKey {key.key}")
    assert caught.value.reason == "KEY_REVOKED"


IMPOSSIBLE = [
    ("expire_time", Timestamp(seconds=1)),
    ("expire_time", Timestamp(seconds=10**17)),
    ("role", ROLE.owner),
    ("role", ROLE.developer),
    ("role", ROLE.system_bot),
    ("role", 99),
    ("name", " "),
    ("name", "x" * 201),
    ("limited_site_id", new_id()),
]


async def test_a_key_that_cannot_be_is_refused_by_field(world):
    owner = await world.owner()
    for field, value in IMPOSSIBLE:
        with pytest.raises(Refusal) as caught:
            await world.make_key(owner.header, **{field: value})
        assert caught.value.reason == "INVALID_FIELDS"
        assert [violation.field for violation in caught.value.violations] == [f"api_key.{field}"]
    listed = await world.call("ListApiKeys", identity_pb2.ListApiKeysRequest(), owner.header)
    assert listed.total_size == 0


async def test_a_key_cannot_be_limited_to_another_accounts_site(world):
    owner = await world.owner()
    other = await world.owner("bob@example.com")
    told = []
    for site_id in (other.session.site_id, new_id()):
        with pytest.raises(Refusal) as caught:
            await world.make_key(owner.header, limited_site_id=site_id)
        told.append((caught.value.reason, caught.value.message, caught.value.violations))
    assert told[0] == told[1]


@pytest.mark.parametrize("role", [ROLE.viewer, ROLE.editor])
async def test_only_admins_make_list_and_revoke_keys(world, role):
    owner = await world.owner()
    low = await world.make_key(owner.header, role=role)
    for method, request in (
        (
            "CreateApiKey",
            identity_pb2.CreateApiKeyRequest(api_key=identity_pb2.ApiKey(name="mine")),
        ),
        ("ListApiKeys", identity_pb2.ListApiKeysRequest()),
        ("RevokeApiKey", identity_pb2.RevokeApiKeyRequest(id=low.id)),
    ):
        refusal = await world.refused(method, request, f"ApiKey {low.key}")
        assert refusal.reason == "ROLE_FORBIDDEN"


async def test_a_key_limited_to_a_site_cannot_make_one_that_reaches_further(world):
    owner = await world.owner()
    other_site = await world.make_site(owner.header, "Shop")
    everywhere = await world.make_key(owner.header)
    limited = await world.make_key(
        owner.header, role=ROLE.admin, limited_site_id=owner.session.site_id
    )
    header = f"ApiKey {limited.key}"
    with pytest.raises(Refusal) as caught:
        await world.make_key(header)
    assert caught.value.reason == "SITE_FORBIDDEN"
    with pytest.raises(Refusal) as caught:
        await world.make_key(header, limited_site_id=other_site.id)
    assert caught.value.reason == "INVALID_FIELDS"
    sibling = await world.make_key(header, limited_site_id=owner.session.site_id)
    listed = await world.call("ListApiKeys", identity_pb2.ListApiKeysRequest(), header)
    assert {key.id for key in listed.api_keys} == {limited.id, sibling.id}
    refusal = await world.refused(
        "RevokeApiKey", identity_pb2.RevokeApiKeyRequest(id=everywhere.id), header
    )
    assert refusal.reason == "NOT_FOUND"
    await world.authenticator.authenticate(f"ApiKey {everywhere.key}")


async def test_the_last_use_is_written_once_a_minute(world):
    owner = await world.owner()
    key = await world.make_key(owner.header)
    [run, _forgetting] = world.identity.parts.loops
    write = run.__self__.write
    start = clock.now().replace(second=10)
    with clock.frozen(lambda: start):
        for _ in range(3):
            await world.authenticator.authenticate(f"ApiKey {key.key}")
    assert await _last_use(world) is None
    writes = []
    world.database.on_commit(lambda: writes.append(1))
    await write()
    assert await _last_use(world) == start.replace(second=0, microsecond=0)
    with clock.frozen(lambda: start + timedelta(seconds=40)):
        await world.authenticator.authenticate(f"ApiKey {key.key}")
        await write()
    assert len(writes) == 1
    with clock.frozen(lambda: start + timedelta(seconds=50)):
        await world.authenticator.authenticate(f"ApiKey {key.key}")
        await write()
    assert await _last_use(world) == start.replace(second=0, microsecond=0) + timedelta(minutes=1)


async def test_keys_are_listed_newest_first_by_page(world):
    owner = await world.owner()
    made = [(await world.make_key(owner.header, name=str(n))).id for n in range(3)]
    first = await world.call(
        "ListApiKeys", identity_pb2.ListApiKeysRequest(page_size=2), owner.header
    )
    second = await world.call(
        "ListApiKeys",
        identity_pb2.ListApiKeysRequest(page_size=2, page_token=first.next_page_token),
        owner.header,
    )
    assert [key.id for key in (*first.api_keys, *second.api_keys)] == made[::-1]
    assert (first.total_size, second.next_page_token) == (3, "")


def test_a_key_is_known_by_its_secret_alone():
    made = make_key()
    assert prefix_of(made.key) == made.prefix
    assert matches(made.key, made.secret_hash)
    assert not matches(made.key[:-1] + ("A" if made.key[-1] != "A" else "B"), made.secret_hash)
    assert made.key not in repr(made)
    assert made.secret_hash not in repr(made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wk",
        "wk__",
        "wk_0123456789",
        "wk_0123456789_",
        "wk_01234_secret",
        "wk_01234%6789_secret",
        "xx_0123456789_secret",
        "wk_0123456789_" + "x" * 200,
        "é" * 50,
        "\x00",
    ],
)
def test_what_is_not_formed_like_a_key_is_not_looked_up(text):
    assert prefix_of(text) is None


async def _last_use(world):
    return await world.database.read(
        lambda connection: connection.execute(select(api_keys.c.last_use_time)).scalar_one()
    )


async def test_a_use_that_could_not_be_written_is_written_later():
    class Away:
        written = None

        async def write(self, _work):
            if self.written is None:
                self.written = 0
                raise Unavailable
            self.written += 1

    database = Away()
    uses = LastUses(database)
    uses.note(SimpleNamespace(account_id="a", id="k", last_use_time=None))
    with pytest.raises(Unavailable):
        await uses.write()
    for _ in range(2):
        await uses.write()
    assert database.written == 1


async def test_a_key_that_ends_makes_no_key(world):
    owner = await world.owner()
    soon = clock.now() + timedelta(hours=1)
    lent = await world.make_key(owner.header, role=ROLE.admin, expire_time=to_timestamp(soon))
    for end in (None, to_timestamp(soon)):
        with pytest.raises(Refusal) as caught:
            await world.make_key(f"ApiKey {lent.key}", expire_time=end)
        assert caught.value.reason == "ROLE_FORBIDDEN"
    listed = await world.call("ListApiKeys", identity_pb2.ListApiKeysRequest(), owner.header)
    assert [key.id for key in listed.api_keys] == [lent.id]
    ends = [
        entry.after["expire_time"] for entry in await world.audit(owner.header, object_id=lent.id)
    ]
    assert ends == [soon.isoformat()]
