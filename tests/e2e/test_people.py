"""People and their sessions over REST, from the invitation to the door."""

import asyncio
import json
import os
import subprocess
import sys

from e2e.people import API, PASSWORD, unique


async def test_somebody_joins_works_goes_on_and_is_shut_out(account):
    email = f"{unique('guest')}@example.com"
    invitation = await account.create("auth/invitations", {"email": email, "role": "editor"})
    answer = await account.client.post(
        f"{API}/auth/invitations/accept", json={"token": invitation["token"], "password": PASSWORD}
    )
    assert answer.status_code == 201, answer.text
    session = answer.json()["data"]
    guest = account.by(f"Bearer {session['access_token']}")
    user_id, site_id = session["user"]["id"], account.scope["site_id"]
    assert await guest.list("auth/sites") == []
    granted = await account.call("POST", f"auth/users/{user_id}/sites/{site_id}")
    assert granted.json()["data"]["granted_site_ids"] == [site_id]
    assert [site["id"] for site in await guest.list("auth/sites")] == [site_id]
    refreshed = await account.client.post(
        f"{API}/auth/token/refresh", json={"refresh_token": session["refresh_token"]}
    )
    assert refreshed.status_code == 200, refreshed.text
    guest = account.by(f"Bearer {refreshed.json()['data']['access_token']}")
    renamed = await guest.call("PATCH", "auth/me", json={"name": "Guest"})
    assert renamed.json()["data"]["name"] == "Guest"
    withdrawn = await account.call("DELETE", f"auth/users/{user_id}/sites/{site_id}")
    assert withdrawn.json()["data"]["granted_site_ids"] == []
    assert await guest.list("auth/sites") == []
    gone = await account.call("POST", f"auth/users/{user_id}/deactivate")
    assert gone.status_code == 200
    assert (await guest.call("GET", "auth/me")).status_code == 401
    done = [entry["action"] for entry in await account.list("auth/audit")]
    assert done[:3] == ["user.deactivated", "user.site_withdrawn", "user.updated"]


async def test_a_password_is_changed_and_a_session_ended(account):
    other = await account.client.post(
        f"{API}/auth/login", json={"email": account.email, "password": PASSWORD}
    )
    change = {"current_password": PASSWORD, "new_password": f"{PASSWORD} indeed"}
    changed = await account.call("POST", "auth/password/change", json=change)
    assert (changed.status_code, changed.content) == (204, b"")
    before = account.by(f"Bearer {other.json()['data']['access_token']}")
    assert (await before.call("GET", "auth/me")).status_code == 401
    left = await account.call("POST", "auth/logout", json={})
    assert (left.status_code, left.content) == (204, b"")
    assert (await account.call("GET", "auth/me")).status_code == 401


async def test_an_operator_is_appointed_acts_on_an_account_and_suspends_it(writer):
    operator, account = await writer.register(), await writer.register()
    environment = dict(os.environ) | {
        "WRITER_DATABASE_URL": writer.stack.place.database_url("identity")
    }
    command = [sys.executable, "-m", "gateway.identity", "appoint", operator.email]
    await asyncio.to_thread(
        subprocess.run, command, env=environment, check=True, capture_output=True
    )
    login = await writer.client.post(
        f"{API}/auth/login", json={"email": operator.email, "password": PASSWORD}
    )
    operator = operator.by(f"Bearer {login.json()['data']['access_token']}")
    acting = {"X-Acting-Account": account.id, "X-Acting-Reason": "Ticket 7"}
    seen = await operator.call("GET", "auth/account", headers=acting)
    assert seen.json()["data"]["id"] == account.id
    [entry] = await account.list("auth/audit", action="account.acted_on")
    assert (entry["reason"], entry["client_address"]) == ("Ticket 7", "127.0.0.1")
    stopped = await operator.call(
        "POST", f"auth/accounts/{account.id}/suspend", json={"reason": "Unpaid"}
    )
    assert stopped.json()["data"]["status"] == "suspended"
    refused = await account.call("GET", "writer/tasks")
    assert (refused.status_code, refused.json()["code"]) == (403, "ACCOUNT_INACTIVE")


async def test_the_keys_that_verify_tokens_are_public(account):
    answer = await account.client.get("/.well-known/jwks.json")
    assert [key["kid"] for key in json.loads(answer.content)["keys"]] == ["gateway"]
