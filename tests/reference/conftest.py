"""One whole Writer for all that reads its reference from outside: fuzzer, browser, generator."""

import os
import secrets
import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from standalone.rest import Rest
from standalone.seed import demo_account
from standalone.stack import Stack

ENVIRONMENT = {
    "OPENAI_API_KEY": "",
    "OPENAI_BASE_URL": "",
    "WRITER_MODEL_ATTEMPTS": "3",
    # A fuzzer sends more in a minute than any account may.
    "WRITER_THROTTLES": "off",
    # Wrong passwords lock an address out; the fuzzer says that each request comes from another.
    "WRITER_TRUSTED_PROXIES": "127.0.0.1",
}
WITHIN_S = 30.0
SPARE = 8
"""Of things that a fuzzer uses up."""
BRIEF = {
    "title": "How to choose a teapot",
    "content_type": "post",
    "content_structure": "guide",
    "word_count": 150,
}
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """Everything on this machine, with the offline model."""
    with Stack(tmp_path_factory.mktemp("reference"), environment=ENVIRONMENT) as running:
        yield running
        assert running.ended() is None


@pytest.fixture(scope="session")
def demo(stack):
    """The account of `./writer up`, with its key."""
    return demo_account(stack.url, stack.place)


@dataclass(frozen=True)
class Person:
    """Somebody with an account, a site and a cluster, and something generated in it."""

    email: str
    password: str
    account_id: str
    user_id: str
    site_id: str
    sector_id: str
    cluster_id: str
    transaction_id: str
    run_id: str
    image_id: str


def address(name):
    """Of nobody yet."""
    return f"{name}-{secrets.token_hex(6)}@example.com"


def person_at(stack, name, role="owner"):
    """A new person. No call makes a developer, so the role is written into the database."""
    # None that the examples of the document, or a fuzzer, may guess.
    email, password = address(name), secrets.token_urlsafe(24)
    session = Rest(stack.url).post("auth/register", {"email": email, "password": password})
    user_id = session["user"]["id"]
    with sqlite3.connect(Path(stack.place.directory) / "identity.db") as database:
        database.execute("UPDATE users SET role = ? WHERE id = ?", (role, user_id))
    rest = Rest(stack.url, f"Bearer {session['access_token']}")
    eventually(lambda: rest.get_data("auth/me"), lambda me: me["role"] == role)
    scope = {"site_id": session["site_id"], "sector_id": session["sector_id"]}
    cluster = rest.post("writer/clusters", {"name": "Teapots", **scope})
    return Person(
        email,
        password,
        session["account"]["id"],
        user_id,
        **scope,
        cluster_id=cluster["id"],
        **generated(rest, {"cluster_id": cluster["id"], **scope}),
    )


def generated(rest, fields):
    """Ids of what one task has led to, pictures included."""
    task = rest.post("writer/tasks", BRIEF | fields)
    order = {"ids": [task["id"]], "stop_after": "images"}
    run = rest.post("writer/tasks/auto_generate_content", order)
    path = f"writer/runs/{run['id']}"
    eventually(lambda: rest.get_data(path), lambda now: now["state"] == "succeeded")
    images = rest.get("writer/images")["results"]
    charges = eventually(lambda: rest.get("billing/credits/transactions")["results"], any_charge)
    return {
        "run_id": run["id"],
        "image_id": images[0]["id"],
        "transaction_id": any_charge(charges)["id"],
    }


def any_charge(transactions):
    return next((each for each in transactions if each["amount"] < 0), None)


def eventually(ask, good):
    """The first answer that is good."""
    deadline = time.monotonic() + WITHIN_S
    while not good(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    return answer


@pytest.fixture(scope="session")
def operator(stack):
    """A developer, who may call every operation. Once: a fuzzer changes prices and plans."""
    return person_at(stack, "operator", "developer")


@pytest.fixture(scope="session")
def neighbour(stack):
    """An owner of another account, with as much in it."""
    return person_at(stack, "neighbour")


@pytest.fixture
def supplies(stack, operator):
    """What can be used up, each thing once; two colleagues and a task that stay."""
    login = {"email": operator.email, "password": operator.password}
    rest = Rest(stack.url, f"Bearer {Rest(stack.url).post('auth/login', login)['access_token']}")
    place = {name: getattr(operator, name) for name in ("cluster_id", "site_id", "sector_id")}
    colleague, leaver, *tokens = (
        rest.post("auth/invitations", {"email": address("guest"), "role": "admin"})["token"]
        for _ in range(SPARE + 2)
    )

    def accepted(token):
        fields = {"token": token, "password": operator.password}
        return Rest(stack.url).post("auth/invitations/accept", fields)["user"]

    people = [
        {"email": address(name), "password": operator.password}
        for name in ("suspended", "cancelled")
    ]
    task_ids = [rest.post("writer/tasks", BRIEF | place)["id"] for _ in range(SPARE + 1)]
    return {
        "tokens": tokens,
        "user_id": accepted(colleague)["id"],
        "leaver": {"email": accepted(leaver)["email"], "password": operator.password},
        "account_ids": [Rest(stack.url).post("auth/register", p)["account"]["id"] for p in people],
        "task_id": task_ids.pop(),
        "task_ids": task_ids,
    }


@pytest.fixture
def browser_path():
    """Program of a Chromium; skips with what to install where there is none."""
    wanted = os.environ.get("WRITER_TEST_BROWSER", "")
    found = wanted or next(filter(None, map(shutil.which, BROWSERS)), "")
    if not found:
        pytest.skip(
            "NO BROWSER: the page of the reference is not tested. Install chromium-headless-shell "
            "(Debian, Ubuntu) or name a Chromium in WRITER_TEST_BROWSER."
        )
    return found
