"""Who may do what: without valid credentials nothing, and with them only what their role allows."""

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from e2e.people import API, LISTS, eventually, unique

from chassis import ids
from chassis.keys import load_signing_key

READS = (*LISTS, "billing/credits/balance", "billing/costs", "billing/plans", "auth/me")


async def refusal(account, verb="GET", path="writer/tasks", **options):
    """Status and code of an answer that must be a refusal."""
    answer = await account.call(verb, path, **options)
    assert answer.json()["success"] is False
    return answer.status_code, answer.json()["code"]


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


@pytest.fixture
def sign(stack):
    """Makes tokens with the gateway's own key, as nobody outside can."""

    def make(claims, kid="gateway", typ="at+jwt"):
        key = load_signing_key(stack.place.keys / f"{kid}.pem")
        return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid, "typ": typ})

    return make


async def test_nothing_is_told_without_credentials(account, writer):
    task = await account.add_task()
    for path in (*READS, f"writer/tasks/{task['id']}"):
        answer = await writer.client.get(f"{API}/{path}")
        assert answer.status_code == 401, path
        assert answer.json()["code"] == "UNAUTHENTICATED"
        assert answer.headers["www-authenticate"] == "Bearer, ApiKey"
    for path in ("writer/tasks", "writer/tasks/auto_generate_content", "auth/api_keys"):
        answer = await writer.client.post(f"{API}/{path}", json={"ids": [task["id"]]})
        assert answer.status_code == 401, path


async def test_what_only_looks_like_a_credential_is_refused(account):
    token = account.authorization.removeprefix("Bearer ")
    key = (await account.by_key("admin")).authorization.removeprefix("ApiKey ")
    head, payload, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    for credential in (
        "", "Bearer", "Bearer x", f"Bearer {key}", f"ApiKey {token}", token, key,
        f"Basic {token}", f"Bearer {head}.{payload}.", f"Bearer {none}.{payload}.",
        f"Bearer {head}.{payload}.{signature[::-1]}", f"ApiKey {key[:-1]}", f"ApiKey {key}x",
        "ApiKey wk_0123456789_" + "A" * 43, "Bearer " + "x" * 20_000,
    ):  # fmt: skip
        assert await refusal(account.by(credential)) == (401, "UNAUTHENTICATED"), credential[:60]


async def test_a_token_counts_only_as_it_was_made_and_as_long_as_it_says(account, sign):
    good = claims_of(account.authorization)
    now = int(datetime.now(UTC).timestamp())
    assert (await account.by(f"Bearer {sign(good)}").call("GET", "auth/me")).status_code == 200
    old = sign({**good, "iat": now - 1_000, "exp": now - 1})
    assert await refusal(account.by(f"Bearer {old}")) == (401, "TOKEN_EXPIRED")
    for forged in (
        sign(good, kid="tasks"),
        sign(good, typ="JWT"),
        sign({**good, "aud": "tasks"}),
        sign({**good, "iss": "tasks"}),
        sign({**good, "sub": f"user:{ids.new_id()}"}),
        sign({**good, "account": ids.new_id()}),
        sign({name: value for name, value in good.items() if name != "exp"}),
    ):
        assert await refusal(account.by(f"Bearer {forged}")) == (401, "UNAUTHENTICATED")


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(account, writer):
    def login(email):
        body = {"email": email, "password": "not the password"}
        return writer.client.post(f"{API}/auth/login", json=body)

    known, unknown = await login(account.email), await login(f"{unique('none')}@example.com")
    assert known.status_code == unknown.status_code == 401
    assert known.json()["error"] == unknown.json()["error"]


async def test_a_revoked_key_is_refused_at_once(account):
    program = await account.by_key("editor")
    me = await program.get("auth/me")
    answer = await account.call("POST", f"auth/api_keys/{me['api_key']['id']}/revoke", json={})
    assert answer.status_code == 200
    assert await refusal(program, path="auth/me") == (401, "KEY_REVOKED")
    assert await refusal(program, "POST", json=account.brief()) == (401, "KEY_REVOKED")


async def test_a_key_stops_to_work_when_its_time_is_over(account):
    soon = datetime.now(UTC) + timedelta(seconds=2)
    program = await account.by_key("editor", expire_time=soon.isoformat())
    answer = await eventually(
        lambda: program.call("GET", "auth/me"),
        lambda answer: answer.status_code == 401,
        "the key expires",
    )
    assert answer.json()["code"] == "KEY_REVOKED"
    assert datetime.now(UTC) >= soon


async def test_a_viewer_reads_and_nothing_else(account):
    run = await account.written("How to prune apple trees", stop_after="image_prompts")
    task = await account.add_task()
    viewer = await account.by_key("viewer")
    before = await account.state()
    closed = {"billing/credits/transactions", "billing/credits/usage", "auth/api_keys"}
    closed |= {"auth/users", "auth/invitations", "auth/audit"}
    for path in READS:
        status = (await viewer.call("GET", path)).status_code
        assert status == (403 if path in closed else 200), path
    assert (await viewer.get(f"writer/runs/{run['id']}"))["state"] == "succeeded"
    for path, body in (
        ("writer/tasks", account.brief()),
        ("writer/clusters", {"name": "New", **account.scope}),
        ("writer/tasks/auto_generate_content", {"ids": [task["id"]]}),
        ("auth/api_keys", {"name": "more", "role": "admin"}),
        (f"auth/api_keys/{before['auth/api_keys'][0]['id']}/revoke", {}),
        ("auth/sites", {"name": "more"}),
        ("auth/sectors", {"name": "more", "site_id": account.scope["site_id"]}),
    ):
        assert await refusal(viewer, "POST", path, json=body) == (403, "ROLE_FORBIDDEN"), path
    assert await account.state() == before


async def test_an_editor_writes_and_does_not_manage(account):
    editor = await account.by_key("editor")
    run = await editor.written("How to prune apple trees")
    assert run["state"] == "succeeded"
    assert len(await editor.list("billing/credits/usage")) == 1
    before = await account.state()
    for verb, path, body in (
        ("GET", "auth/api_keys", None),
        ("POST", "auth/api_keys", {"name": "more"}),
        ("POST", "auth/sites", {"name": "more"}),
    ):
        assert await refusal(editor, verb, path, json=body) == (403, "ROLE_FORBIDDEN"), path
    assert await account.state() == before


async def test_what_only_the_gateway_may_say_is_not_believed_of_a_client(writer):
    account, other = await writer.register(), await writer.register()
    await other.add_task("A foreign one")
    viewer = await account.by_key("viewer")
    said = {
        "writer-caller": other.authorization.removeprefix("Bearer "),
        "X-Acting-Account": other.id,
        "X-Acting-Reason": "curiosity",
        "X-Account-Id": other.id,
        "X-Role": "owner",
    }
    answer = await viewer.call("GET", "writer/tasks", headers=said)
    assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN")
    assert "A foreign one" not in answer.text
    refused = await viewer.call("POST", "writer/tasks", json=account.brief(), headers=said)
    assert refused.status_code == 403


async def test_a_key_is_shown_once(account):
    made = await account.create("auth/api_keys", {"name": "once", "role": "editor"})
    assert made["key"].startswith(made["prefix"])
    [listed] = await account.list("auth/api_keys")
    assert (listed["id"], listed["key"], listed["prefix"]) == (made["id"], "", made["prefix"])
