"""One whole Writer for all that reads its reference from outside: fuzzer, browser, generator."""

import os
import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from standalone.rest import Rest
from standalone.seed import demo_account
from standalone.stack import Stack

PASSWORD = "correct horse battery"
ENVIRONMENT = {
    "OPENAI_API_KEY": "",
    "OPENAI_BASE_URL": "",
    "WRITER_MODEL_ATTEMPTS": "3",
    # A fuzzer sends more in a minute than any account may.
    "WRITER_THROTTLES": "off",
}
ROLE_WITHIN_S = 10.0
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
class Operator:
    """Somebody who may call every operation, with a site, a sector and a cluster."""

    authorization: str
    site_id: str
    sector_id: str
    cluster_id: str


@pytest.fixture
def operator(stack):
    """A developer. No call makes one, so the role is written into the database."""
    fields = {"email": f"operator-{os.getpid()}@example.com", "password": PASSWORD}
    session = Rest(stack.url).post("auth/register", fields)
    with sqlite3.connect(Path(stack.place.directory) / "identity.db") as database:
        database.execute(
            "UPDATE users SET role = 'developer' WHERE id = ?", (session["user"]["id"],)
        )
    authorization = f"Bearer {session['access_token']}"
    person = Rest(stack.url, authorization)
    deadline = time.monotonic() + ROLE_WITHIN_S
    while person.get_data("auth/me")["role"] != "developer":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    scope = {"site_id": session["site_id"], "sector_id": session["sector_id"]}
    cluster = person.post("writer/clusters", {"name": "Teapots", **scope})
    return Operator(authorization, **scope, cluster_id=cluster["id"])


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
