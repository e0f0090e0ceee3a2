"""Accounts and what they do over REST."""

from __future__ import annotations

import asyncio
import itertools
import os
import time

DEADLINE_S = 30.0
POLL_S = (0.02, 0.4)
"""First and longest pause between looks: many who look often would slow down what they wait for."""
API = "/api/v1"
PASSWORD = "correct horse battery"
ENDED = {"succeeded", "partly_failed", "failed", "cancelled", "budget_reached"}
LISTS = (
    "writer/tasks", "writer/runs", "writer/content", "writer/images", "writer/clusters",
    "writer/taxonomies", "billing/credits/transactions", "billing/credits/usage",
    "auth/sites", "auth/sectors", "auth/api_keys", "auth/users", "auth/invitations", "auth/audit",
)  # fmt: skip
"""Every list that belongs to an account."""
_numbers = itertools.count(1)


def unique(name):
    """The same name never twice, also over the workers of one machine."""
    return f"{name}-{os.getpid()}-{next(_numbers)}"


async def eventually(look, holds, what):
    """What `look` finds as soon as `holds` of it; fails with what it found last."""
    deadline = time.monotonic() + DEADLINE_S
    pause_s, pause_max_s = POLL_S
    while True:
        found = await look()
        if holds(found):
            return found
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}; last: {found}"
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, pause_max_s)


class Writer:
    """The REST API without credentials."""

    def __init__(self, client, stack):
        self.client = client
        self.stack = stack

    async def register(self, **fields):
        """A new account that is logged in."""
        email = fields.setdefault("email", f"{unique('owner')}@example.com")
        body = {"password": PASSWORD, **fields}
        answer = await self.client.post(f"{API}/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        session = answer.json()["data"]
        account = Account(self.client, f"Bearer {session['access_token']}", session, email)
        await account.add_cluster()
        return account


class Account:
    """One account, seen with one of its credentials."""

    def __init__(self, client, authorization, session, email, cluster_id=""):
        self.client = client
        self.authorization = authorization
        self.session = session
        self.email = email
        self.id = session["account"]["id"]
        self.scope = {"site_id": session["site_id"], "sector_id": session["sector_id"]}
        self.cluster_id = cluster_id

    def by(self, authorization):
        """The same account with another credential."""
        return Account(self.client, authorization, self.session, self.email, self.cluster_id)

    async def by_key(self, role, **fields):
        """The same account with a new API key of this role."""
        key = await self.create("auth/api_keys", {"name": unique(role), "role": role, **fields})
        return self.by(f"ApiKey {key['key']}")

    async def call(self, verb, path, **options):
        """The answer to any call below the base path."""
        headers = {"Authorization": self.authorization, **options.pop("headers", {})}
        return await self.client.request(verb, f"{API}/{path}", headers=headers, **options)

    async def get(self, path, **query):
        """What one thing is now."""
        answer = await self.call("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def list(self, path, **query):
        """All rows of a list; the tests make less than a page."""
        return await self.rows(path, page_size=100, **query)

    async def rows(self, path, **query):
        """The rows of a list that fits into one page as it is asked for."""
        answer = await self.call("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        assert answer.json()["next"] is None
        return answer.json()["results"]

    async def create(self, path, body, **headers):
        """The thing that a POST made."""
        answer = await self.call("POST", path, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def add_cluster(self, name="Gardening"):
        """A cluster, which is the one of new tasks from now on."""
        made = await self.create("writer/clusters", {"name": name, **self.scope})
        self.cluster_id = made["id"]
        return made

    def brief(self, title="How to water roses", **fields):
        """The body of a new task."""
        return {
            "title": title,
            "cluster_id": self.cluster_id,
            "content_type": "post",
            "content_structure": "article",
            "word_count": 150,
            **self.scope,
            **fields,
        }

    async def add_task(self, title="How to water roses", **fields):
        """A new task."""
        return await self.create("writer/tasks", self.brief(title, **fields))

    async def ask(self, *task_ids, stop_after=None, **headers):
        """The answer to a request to generate."""
        body = {"ids": list(task_ids)} | ({"stop_after": stop_after} if stop_after else {})
        return await self.call(
            "POST", "writer/tasks/auto_generate_content", json=body, headers=headers
        )

    async def generate(self, *task_ids, stop_after=None, **headers):
        """A run that has just been accepted."""
        answer = await self.ask(*task_ids, stop_after=stop_after, **headers)
        assert answer.status_code == 202, answer.text
        return answer.json()["data"]

    async def ended(self, run):
        """The run as soon as it has ended."""
        return await eventually(
            lambda: self.get(f"writer/runs/{run['id']}"),
            lambda now: now["state"] in ENDED,
            "the run ends",
        )

    async def written(self, *titles, stop_after=None, **fields):
        """The ended run of new tasks with these titles."""
        tasks = [await self.add_task(title, **fields) for title in titles]
        run = await self.generate(*(task["id"] for task in tasks), stop_after=stop_after)
        return await self.ended(run)

    async def settled(self):
        """The balance once nothing is reserved any more."""
        return await eventually(
            lambda: self.get("billing/credits/balance"),
            lambda balance: balance["reserved"] == 0,
            "all reservations are settled",
        )

    async def charged(self, run):
        """The ended run when all its charges have been booked and have reached it."""
        await self.settled()
        transactions = await self.list("billing/credits/transactions")
        spent = -sum(each["amount"] for each in transactions if each["run_id"] == run["id"])
        return await eventually(
            lambda: self.get(f"writer/runs/{run['id']}"),
            lambda now: now["credits_charged"] == spent,
            f"the run knows of the {spent} credits that it was charged",
        )

    async def state(self):
        """Everything that the account has, but for the last uses of its keys.

        Waits until nothing moves: charges reach a run a little later than its end.
        """
        for run in await self.list("writer/runs"):
            await self.charged(run)
        state = {path: await self.list(path) for path in LISTS}
        state["balance"] = await self.get("billing/credits/balance")
        for key in state["auth/api_keys"]:
            key.pop("last_use_time", None)
        return state
