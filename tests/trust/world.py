"""Two accounts that have one of everything, and everybody who may be met in them."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from dataclasses import dataclass

import jwt
from e2e.people import API, PASSWORD, Account, Writer, unique
from trust.calls import Wire
from trust.contract import methods

from chassis.caller import GATEWAY, Caller, Signer
from chassis.database import open_database
from chassis.keys import load_signing_key
from gateway.identity.__main__ import appoint
from gateway.identity.domain import OPERATORS, Role
from standalone.prepare import ISSUERS

ROLES = ("viewer", "editor", "admin", "owner", "developer", "system_bot")
_NEXT = re.compile('next_page_token: "([^"]+)"')
KEY_ROLES = ("viewer", "editor", "admin")
REPEATED = "the-same-request"
"""The key under which the other account has made what it made."""
ETAGS = {
    "BudgetService": "billing/budgets/{budget}",
    "UserService": "auth/users/{user}",
    "AccountService": "auth/account",
    "PriceService": "",
}
"""Where the revision is read that a service takes; empty where it belongs to no account."""


@dataclass
class Tenant:
    """An account, its people by role, and one thing of every kind."""

    account: Account
    people: dict[str, dict]
    """Sessions by role."""
    keys: dict[str, str]
    """API keys by role."""
    things: dict[str, str]
    """Ids by kind."""
    page_tokens: dict[str, str]
    """By method, for a second page."""
    etags: dict[str, str]
    """By service."""

    @property
    def id(self) -> str:
        return self.account.id

    def authorization(self, role: str) -> str:
        return f"Bearer {self.people[role]['access_token']}"

    def caller(self, role: str, authorization: str = "", **changes: str) -> Caller:
        """The person of this role, as the gateway vouches for him; by one login or another."""
        shown = authorization or self.authorization(role)
        return Caller(
            issuer=GATEWAY,
            principal=f"user:{self.people[role]['user']['id']}",
            account_id=self.id,
            role=role,
            session_id=_session_of(shown),
            **{**self.account.scope, **changes},
        )


def _session_of(authorization: str) -> str:
    """The session that an access token belongs to."""
    _, _, token = authorization.partition(" ")
    return jwt.decode(token, options={"verify_signature": False})["sid"]


def signers(stack) -> dict[str, Signer]:
    """What each process signs with, as only the process itself can."""
    return {
        name: Signer(name, load_signing_key(stack.place.keys / f"{name}.pem")) for name in ISSUERS
    }


async def inhabited(writer: Writer, wire: Wire, *, moved_on: bool = False) -> Tenant:
    """A new account with everything that an account can have."""
    account = await writer.register(**({"request_id": REPEATED} if moved_on else {}))
    people = await _people(writer, account)
    tenant = Tenant(account, people, {}, {}, {}, {})
    await _things(tenant, account, REPEATED if moved_on else unique("request"))
    tenant.things["reservation"] = _reservation_of(writer.stack, account.id)
    if moved_on:
        await _move_on(tenant)
    for role in KEY_ROLES:
        made = await account.create("auth/api_keys", {"name": unique(role), "role": role})
        tenant.keys[role] = made["key"]
    for method in methods():
        if method.naming("page_token"):
            operator = tenant.caller("developer", site_id="", sector_id="")
            answer = await wire.call(method, {"page_size": 1}, operator)
            found = _NEXT.search(answer.raw)
            assert found, f"{method}: two rows are needed: {answer}"
            tenant.page_tokens[str(method)] = found.group(1)
    for service, path in ETAGS.items():
        shown = await account.get(path.format(**tenant.things)) if path else {"etag": "7.abc"}
        tenant.etags[service] = shown["etag"]
    return tenant


async def _people(writer: Writer, account: Account) -> dict[str, dict]:
    people = {"owner": account.session}
    for role in (each for each in ROLES if each != "owner"):
        email = f"{unique(role)}@example.com"
        invited = {"email": email, "granted_site_ids": [account.scope["site_id"]]}
        invitation = await account.create(
            "auth/invitations", invited | {"role": role if role in KEY_ROLES else "admin"}
        )
        answer = await account.client.post(
            f"{API}/auth/invitations/accept",
            json={"token": invitation["token"], "password": PASSWORD},
        )
        assert answer.status_code == 201, answer.text
        people[role] = answer.json()["data"]
        if Role(role) in OPERATORS:
            database = open_database(writer.stack.place.database_url("identity"))
            assert await appoint(database, email, Role(role))
            await database.close()
    return people


async def _things(tenant: Tenant, account: Account, key: str) -> None:
    """Makes two of whatever is listed, the second ones under this idempotency key."""
    first = await _made(tenant, account, {}, stop_after="image_prompts")
    second = await _made(tenant, account, {"Idempotency-Key": key}, stop_after="content")
    for made in (first, second):
        made["ended"] = await account.ended({"id": made["run"]})
        assert made["ended"]["state"] == "succeeded", made
    await account.settled()
    [generation] = first.pop("ended")["generations"]
    transactions = await account.list("billing/credits/transactions")
    user_id = account.session["user"]["id"]
    tenant.things |= first | {
        "account": account.id,
        "user": user_id,
        "actor": f"user:{user_id}",
        "request": key,
        "generation": generation["id"],
        "content": generation["content_id"],
        "transaction": next(each["id"] for each in transactions if each["amount"] < 0),
        "image": (await account.list("writer/images"))[0]["id"],
        "taxonomy": (await account.list("writer/taxonomies"))[0]["id"],
    }
    for verb, path, body in (
        ("POST", "writer/tasks/bulk_update", {"ids": [second["task"]], "status": "queued"}),
        ("POST", f"auth/api_keys/{second['api_key']}/rotate", {"overlap_s": 0}),
    ):
        answer = await account.call(verb, path, json=body | {"request_id": key})
        assert answer.status_code == 200, answer.text


async def _made(
    tenant: Tenant, account: Account, again: dict[str, str], *, stop_after: str
) -> dict[str, str]:
    """Ids by kind of what has just been made."""
    operator = account.by(tenant.authorization("developer"))
    site = await account.create("auth/sites", {"name": unique("site")}, **again)
    sector = await account.create("auth/sectors", {"site_id": site["id"], "name": "More"}, **again)
    cluster = {"name": unique("cluster"), **account.scope}
    cluster = await account.create("writer/clusters", cluster, **again)
    key = await account.create("auth/api_keys", {"name": "key", "role": "editor"}, **again)
    guest = {"email": f"{unique('guest')}@example.com"}
    invitation = await account.create("auth/invitations", guest, **again)
    ceiling = {"scope": "site", "scope_id": site["id"], "credits": 500}
    budget = await account.create("billing/budgets", ceiling, **again)
    given = {"credits": 50, "reason": "For tests"}
    named = {"request_id": again.get("Idempotency-Key") or unique("request")}
    gift = given | named | {"transaction_type": "purchase"}
    grant = await operator.create("billing/credits/grants", gift)
    await operator.create("billing/credits/adjustments", given | named)
    brief = account.brief(idea_id=unique("idea"), cluster_id=cluster["id"])
    task = await account.create("writer/tasks", brief, **again)
    program = account.by(f"ApiKey {key['key']}")
    run = await program.generate(task["id"], stop_after=stop_after, **again)
    made = {
        "site": site, "sector": sector, "cluster": cluster, "api_key": key, "task": task,
        "invitation": invitation, "budget": budget, "grant": grant, "run": run,
    }  # fmt: skip
    return {kind: thing["id"] for kind, thing in made.items()} | {"idea": task["idea_id"]}


async def _move_on(tenant: Tenant) -> None:
    """Changes what has a revision, so that no other account's is the same."""
    for path, body in (
        (f"billing/budgets/{tenant.things['budget']}", {"credits": 400}),
        (f"auth/users/{tenant.things['user']}", {"name": "Somebody"}),
        ("auth/account", {"name": "Other"}),
    ):
        answer = await tenant.account.call("PATCH", path, json=body)
        assert answer.status_code == 200, answer.text


def _reservation_of(stack, account_id: str) -> str:
    """The key of a reservation, which nobody outside of the services is told."""
    file = stack.place.directory / "billing.db"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        row = database.execute(
            "SELECT key FROM reservations WHERE account_id = ? LIMIT 1", (account_id,)
        ).fetchone()
    database.close()
    return row[0]


async def two(writer: Writer, wire: Wire) -> tuple[Tenant, Tenant]:
    """The one who tries, and the other one, whose revisions are further on."""
    trying, other = await asyncio.gather(
        inhabited(writer, wire), inhabited(writer, wire, moved_on=True)
    )
    return trying, other
