"""The demo account: made at the first start, found again at later ones."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from standalone.place import Place
from standalone.rest import Refused, Rest

EMAIL = "demo@writer.local"
CLUSTER = "First steps"
FIELDS = (
    "email", "password", "api_key", "account_id", "site_id", "sector_id", "cluster_id"
)  # fmt: skip


def demo_account(url: str, place: Place, *, fresh: bool = False) -> dict[str, str]:
    """FIELDS of an account that works at `url`; yesterday's, unless it is gone or `fresh` is asked.

    Raises Refused or Unreachable.
    """
    known = place.read_demo()
    if known and all(field in known for field in FIELDS) and not fresh:
        if _works(url, known):
            return {field: str(known[field]) for field in FIELDS}
        if session := _login(url, known):
            return _equip(url, place, session, str(known["email"]), str(known["password"]))
    password = secrets.token_urlsafe(12)
    session, email = _register(url, password)
    return _equip(url, place, session, email, password)


def _works(url: str, known: Mapping[str, Any]) -> bool:
    try:
        me = Rest(url, f"ApiKey {known['api_key']}").get_data("auth/me")
    except Refused:
        return False
    return bool(me.get("account", {}).get("id") == known["account_id"])


def _login(url: str, known: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        return Rest(url).post(
            "auth/login", {"email": known["email"], "password": known["password"]}
        )
    except Refused:
        return None


def _register(url: str, password: str) -> tuple[dict[str, Any], str]:
    """Opens an account; under another address when somebody has the usual one."""
    email = EMAIL
    for _ in range(2):
        try:
            session = Rest(url).post(
                "auth/register",
                {
                    "email": email,
                    "password": password,
                    "name": "Demo",
                    "account_name": "Demo",
                    "site_name": "Demo site",
                    "sector_name": "General",
                },
            )
        except Refused as refusal:
            if refusal.code != "ALREADY_EXISTS" or email != EMAIL:
                raise
            email = EMAIL.replace("@", f"-{secrets.token_hex(3)}@")
        else:
            return session, email
    raise AssertionError("the second address is random")


def _equip(
    url: str, place: Place, session: Mapping[str, Any], email: str, password: str
) -> dict[str, str]:
    """Makes the key and the cluster, and keeps what a later start needs."""
    person = Rest(url, f"Bearer {session['access_token']}")
    key = person.post("auth/api_keys", {"name": "Demo", "role": "admin"})
    demo = {
        "email": email,
        "password": password,
        "api_key": str(key["key"]),
        "account_id": str(session["account"]["id"]),
        "site_id": str(session["site_id"]),
        "sector_id": str(session["sector_id"]),
    }
    demo["cluster_id"] = cluster(person, CLUSTER, demo["site_id"], demo["sector_id"])
    place.write_demo(demo)
    return demo


def cluster(rest: Rest, name: str, site_id: str, sector_id: str) -> str:
    """Id of the cluster of this name, made when there is none. Raises Refused."""
    wanted = {"name": name, "site_id": site_id, "sector_id": sector_id}
    try:
        return str(rest.post("writer/clusters", wanted)["id"])
    except Refused as refusal:
        if refusal.code != "ALREADY_EXISTS":
            raise
    scope = {"site_id": site_id, "sector_id": sector_id}
    found = rest.get("writer/clusters", search=name, page_size=100, **scope)
    return next(str(row["id"]) for row in found["results"] if row["name"] == name)
