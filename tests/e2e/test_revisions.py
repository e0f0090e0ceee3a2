"""Every PATCH that there is: on an old revision it is told which fields are others now."""

import pytest
from e2e.people import API

from gateway.contracts import load_contracts

ROUTES = sorted(each.template for each in load_contracts().bindings if each.verb == "PATCH")


async def things(account):
    """For each route what it changes, under which id, and two values of one field."""
    session = account.session
    site = {"scope": "site", "scope_id": session["site_id"], "credits": 500}
    budget = await account.create("billing/budgets", site)
    return {
        "auth/account": (session["account"], "name", ("First", "Late")),
        "auth/me": (session["user"], "name", ("First", "Late")),
        "auth/users/{id}": (session["user"], "name", ("First", "Late")),
        "billing/budgets/{id}": (budget, "credits", (600, 700)),
    }


@pytest.mark.parametrize("route", ROUTES)
async def test_a_change_on_an_old_revision_is_told_what_has_changed(account, route):
    path = route.removeprefix(f"{API}/")
    thing, field, (first, late) = (await things(account))[path]
    path = path.format(id=thing["id"])

    async def change(value, etag):
        return await account.call("PATCH", path, json={field: value}, headers={"If-Match": etag})

    old = f'"{thing["etag"]}"'
    changed = await change(first, old)
    assert changed.status_code == 200, changed.text
    refused = await change(late, old)
    assert (refused.status_code, refused.json()["code"]) == (412, "ETAG_MISMATCH")
    assert refused.json()["errors"] == {field: ["has changed since you read it"]}
    assert refused.json()["details"] == {"etag": changed.json()["data"]["etag"]}
    again = await change(late, changed.headers["etag"])
    assert (again.status_code, again.json()["data"][field]) == (200, late)
