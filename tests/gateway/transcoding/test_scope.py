"""Which site and sector a call is for, wherever the client says so."""

import pytest
from writer.identity.v1 import sites_pb2
from writer.tasks.v1 import runs_pb2, tasks_pb2

TASKS = "/api/v1/writer/tasks"
GENERATE = f"{TASKS}/auto_generate_content"


def by(place, scope):
    """The keyword arguments that put a scope into a place of the request."""
    if place == "headers":
        return {
            "headers": {"X-Site-Id": scope["site_id"], "X-Sector-Id": scope["sector_id"]},
            "json": {},
        }
    return {"params": scope, "json": {}} if place == "params" else {"json": dict(scope)}


@pytest.mark.parametrize("place", ["params", "json", "headers"])
async def test_a_create_takes_its_scope_from_anywhere(stack, task, brief, place):
    stack.backend.answers["CreateTask"] = task
    sent = by(place, stack.scope)
    sent["json"].update(brief)
    answer = await stack.client.post(TASKS, **sent)
    assert answer.status_code == 201
    who = stack.backend.last.who
    assert (who.site_id, who.sector_id, who.sector_name) == (stack.site, stack.sector, "News")


@pytest.mark.parametrize("place", ["params", "json", "headers"])
async def test_a_body_without_scope_fields_gives_them_up(stack, place):
    stack.backend.answers["GenerateContent"] = runs_pb2.Run(id="r")
    sent = by(place, stack.scope)
    sent["json"]["ids"] = ["a"]
    answer = await stack.client.post(GENERATE, **sent)
    assert answer.status_code == 202
    assert stack.backend.last.who.site_id == stack.site
    assert list(stack.backend.last.request.ids) == ["a"]


async def test_a_create_without_scope_names_what_is_missing(stack, brief):
    answer = await stack.client.post(TASKS, json=brief)
    assert answer.status_code == 400
    assert sorted(answer.json()["errors"]) == ["sector_id", "site_id"]
    answer = await stack.client.post(TASKS, json={**brief, "site_id": stack.site})
    assert list(answer.json()["errors"]) == ["sector_id"]
    assert stack.backend.heard == []


async def test_places_that_contradict_each_other_are_refused(stack, brief):
    for sent in (
        {"params": {"site_id": stack.other_site}, "json": {**brief, **stack.scope}},
        {"headers": {"X-Site-Id": stack.other_site}, "json": {**brief, **stack.scope}},
        {"headers": {"X-Sector-Id": "s2"}, "params": stack.scope, "json": brief},
    ):
        answer = await stack.client.post(TASKS, **sent)
        assert answer.status_code == 400
        assert len(answer.json()["errors"]) == 1
    assert stack.backend.heard == []


async def test_places_that_agree_are_fine(stack, task, brief):
    stack.backend.answers["CreateTask"] = task
    answer = await stack.client.post(
        TASKS,
        params=stack.scope,
        json={**brief, **stack.scope},
        headers={"X-Site-Id": stack.site},
    )
    assert answer.status_code == 201


async def test_a_list_is_limited_to_the_chosen_site(stack):
    stack.backend.answers["ListTasks"] = tasks_pb2.ListTasksResponse()
    await stack.client.get(TASKS, params={"site_id": stack.site})
    assert stack.backend.last.who.site_id == stack.site
    await stack.client.get(TASKS)
    assert stack.backend.last.who.site_id == ""


async def test_a_site_that_was_not_granted_is_forbidden(stack):
    answer = await stack.client.get(
        TASKS, params={"site_id": stack.other_site}, headers={"Authorization": "Bearer viewer"}
    )
    assert answer.status_code == 403
    assert answer.json()["code"] == "SITE_FORBIDDEN"


async def test_an_unknown_site_is_named(stack):
    answer = await stack.client.get(TASKS, params={"site_id": "elsewhere"})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["site_id"]


@pytest.mark.parametrize("value", ["x" * 65, "a b\n", "ä"])
async def test_a_strange_scope_header_is_refused(stack, value):
    headers = {"X-Site-Id": value.encode("latin-1")}
    answer = await stack.client.get(TASKS, headers=headers)
    assert answer.status_code == 400
    assert stack.backend.heard == []


async def test_the_grants_of_a_principal_travel_with_the_call(stack):
    stack.backend.answers["ListTasks"] = tasks_pb2.ListTasksResponse()
    await stack.client.get(TASKS, headers={"Authorization": "Bearer viewer"})
    who = stack.backend.last.who
    assert (who.principal, who.role, who.account_id) == ("user:2", "viewer", stack.account)
    assert who.allowed_sites == (stack.site,)
    await stack.client.get(TASKS)
    assert stack.backend.last.who.allowed_sites is None


@pytest.mark.parametrize("place", ["params", "json", "headers"])
async def test_a_message_with_its_own_site_gets_it_from_anywhere(stack, place):
    stack.backend.answers["CreateSector"] = sites_pb2.Sector(id="s")
    sent = by(place, {"site_id": stack.site, "sector_id": stack.sector})
    sent["json"]["name"] = "News"
    answer = await stack.client.post("/api/v1/auth/sectors", **sent)
    assert answer.status_code == 201, answer.text
    assert stack.backend.last.request.sector.site_id == stack.site
    assert stack.backend.last.who.site_id == stack.site


async def test_a_filter_by_site_is_both_filter_and_scope(stack):
    stack.backend.answers["ListSectors"] = sites_pb2.ListSectorsResponse()
    await stack.client.get("/api/v1/auth/sectors", params={"site_id": stack.site})
    assert stack.backend.last.request.site_id == stack.site
    assert stack.backend.last.who.site_id == stack.site


@pytest.mark.parametrize("site_id", ["here", "elsewhere", "nowhere"])
async def test_a_role_that_may_not_call_learns_nothing_about_sites_or_fields(stack, site_id):
    sites = {"here": stack.site, "elsewhere": stack.other_site}
    answer = await stack.client.post(
        TASKS,
        params={"site_id": sites.get(site_id, site_id)},
        content=b"{broken",
        headers={"Authorization": "Bearer viewer"},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN")
    assert answer.json()["error"] == "Your role does not allow this."
    assert stack.backend.heard == []
