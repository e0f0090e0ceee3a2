"""Each kind of answer in its envelope, with its headers, by every way of asking."""

import re

import pytest
from e2e.people import API, unique

from chassis import ids

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ONE = {"success", "data", "request_id"}
MANY = {"success", "count", "next", "previous", "results", "request_id"}
ERROR = {"success", "error", "code", "errors", "request_id"}


def check_headers(answer):
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_what_is_made_answers_201_with_its_revision(account):
    answer = await account.call("POST", "writer/tasks", json=account.brief())
    check_headers(answer)
    body = answer.json()
    assert answer.status_code == 201
    assert body.keys() == ONE
    assert body["success"] is True
    task = body["data"]
    assert UUID.fullmatch(task["id"])
    assert answer.headers["etag"].startswith(f'"{task["etag"]}-')
    assert TIME.fullmatch(task["create_time"])
    assert (task["status"], task["content_id"]) == ("queued", "")
    assert task["sector_name"] == "General"
    assert task["cluster_name"] == "Gardening"

    read = await account.call("GET", f"writer/tasks/{task['id']}")
    check_headers(read)
    assert read.status_code == 200
    assert read.json().keys() == ONE
    assert read.json()["data"] == task
    assert read.headers["etag"] == answer.headers["etag"]


async def test_background_work_answers_202_with_the_run(account):
    task = await account.add_task()
    answer = await account.ask(task["id"])
    check_headers(answer)
    assert answer.status_code == 202
    assert answer.json().keys() == ONE
    run = answer.json()["data"]
    assert UUID.fullmatch(run["id"])
    assert answer.headers["etag"].startswith(f'"{run["etag"]}-')
    assert (run["state"], run["stop_after"]) == ("queued", "content")
    assert "end_time" not in run
    ended = await account.ended(run)
    assert TIME.fullmatch(ended["end_time"])
    assert int(ended["etag"]) > int(run["etag"])


async def test_a_list_counts_and_links_its_pages(account):
    made = [(await account.add_task(f"Task {number}"))["id"] for number in range(5)]
    newest_first = made[::-1]
    answer = await account.call("GET", "writer/tasks", params={"page_size": 2, "page": 2})
    check_headers(answer)
    body = answer.json()
    assert answer.status_code == 200
    assert body.keys() == MANY
    assert (body["success"], body["count"]) == (True, 5)
    assert [task["id"] for task in body["results"]] == newest_first[2:4]

    found, link, backwards = [], f"{API}/writer/tasks/?page_size=2&ordering=title", []
    while link:
        page = (await account.client.get(link, headers=auth(account))).json()
        found += [task["id"] for task in page["results"]]
        backwards.append(page["previous"])
        link = page["next"]
    assert found == made
    assert [bool(link) for link in backwards] == [False, True, True]
    first = (await account.client.get(backwards[1], headers=auth(account))).json()
    assert [task["id"] for task in first["results"]] == made[:2]


def auth(account):
    return {"Authorization": account.authorization}


async def test_lists_are_filtered_searched_and_ordered(account):
    rose = await account.add_task("Roses in winter", content_type="page")
    herb = await account.add_task("Herbs", keywords="basil, winter")
    tool = await account.add_task("Tools", content_structure="review")
    other = await account.add_cluster("Lawns")
    lawn = await account.add_task("Mowing", cluster_id=other["id"])

    async def listed(**query):
        return [task["id"] for task in await account.list("writer/tasks", **query)]

    assert await listed(search="WINTER", ordering="title") == [herb["id"], rose["id"]]
    assert await listed(content_type="page") == [rose["id"]]
    assert await listed(content_structure="review") == [tool["id"]]
    assert await listed(cluster_id=other["id"]) == [lawn["id"]]
    assert await listed(status="completed") == []
    assert await listed(**account.scope, ordering="created_at") == [
        task["id"] for task in (rose, herb, tool, lawn)
    ]


async def test_an_error_says_what_and_where(account):
    answer = await account.call("POST", "writer/tasks", json={**account.brief(), "title": ""})
    check_headers(answer)
    assert answer.status_code == 400
    body = answer.json()
    assert body.keys() == ERROR
    assert (body["success"], body["code"]) == (False, "INVALID_FIELDS")
    assert list(body["errors"]) == ["title"]
    assert all(isinstance(words, str) for words in body["errors"]["title"])

    missing = await account.call("GET", f"writer/tasks/{ids.new_id()}")
    check_headers(missing)
    assert missing.status_code == 404
    assert missing.json().keys() == ERROR | {"details"}
    assert missing.json()["errors"] == {}


async def test_the_body_is_left_out_of_lists_unless_asked_for(account):
    run = await account.written("How to prune apple trees")
    content_id = run["generations"][0]["content_id"]
    [basic] = await account.list("writer/content")
    [full] = await account.list("writer/content", view="full")
    whole = await account.get(f"writer/content/{content_id}")
    assert "content_html" not in basic
    assert full == whole
    assert "<h2>" in whole["content_html"]
    assert (await account.list("writer/runs"))[0]["generations"] == []


@pytest.mark.parametrize(
    "path", ["writer/tasks", "writer/runs", "billing/credits/balance", "auth/me", "auth/sites"]
)
async def test_a_trailing_slash_makes_no_difference(account, path):
    plain = (await account.call("GET", path)).json()
    slashed = (await account.call("GET", f"{path}/")).json()
    for body in (plain, slashed):
        del body["request_id"]
    assert plain == slashed


async def test_a_post_may_end_in_a_slash_as_well(account):
    answer = await account.call("POST", "writer/tasks/", json=account.brief())
    assert answer.status_code == 201
    body = {"ids": [answer.json()["data"]["id"]]}
    run = await account.call("POST", "writer/tasks/auto_generate_content/", json=body)
    assert run.status_code == 202
    await account.ended(run.json()["data"])


async def test_a_user_and_a_key_see_the_same_account(account):
    program = await account.by_key("admin")
    task = await program.add_task()
    assert await account.get(f"writer/tasks/{task['id']}") == task
    person, key = await account.get("auth/me"), await program.get("auth/me")
    assert person["account"] == key["account"]
    assert (person["role"], key["role"]) == ("owner", "admin")
    assert person["user"]["email"] == account.email
    assert "user" not in key
    assert key["api_key"]["key"] == ""


async def test_the_scope_may_stand_in_the_body_the_query_or_the_headers(account):
    brief = account.brief()
    for name in account.scope:
        del brief[name]
    headers = {
        "X-Site-Id": account.scope["site_id"],
        "X-Sector-Id": account.scope["sector_id"],
    }
    ways = ({"params": account.scope}, {"headers": headers})
    for way in ways:
        answer = await account.call("POST", "writer/tasks", json=brief, **way)
        assert answer.status_code == 201, answer.text
        assert answer.json()["data"].items() >= account.scope.items()
    without = await account.call("POST", "writer/tasks", json=brief)
    assert without.status_code == 400
    assert sorted(without.json()["errors"]) == ["sector_id", "site_id"]


async def test_a_clients_request_id_comes_back_and_reaches_the_usage(account):
    task = await account.add_task()
    mine = unique("mine")
    answer = await account.ask(task["id"], **{"X-Request-Id": mine})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == mine
    await account.ended(answer.json()["data"])
    await account.settled()
    [record] = await account.list("billing/credits/usage")
    assert record["request_id"] == mine


async def test_requests_are_counted_by_account_and_scope(account):
    first, second = [await account.call("GET", "writer/tasks") for _ in range(2)]
    left = [int(each.headers["x-throttle-remaining"]) for each in (first, second)]
    assert first.headers["x-throttle-limit"] == "100000"
    # Unless another window has begun meanwhile.
    assert left[1] in {left[0] - 1, 99_999}
    assert len(first.headers["x-trace-id"]) == 32


async def test_a_second_site_keeps_its_things_apart(account):
    site = await account.create("auth/sites", {"name": "Second", "url": "https://second.example"})
    sector = await account.create("auth/sectors", {"site_id": site["id"], "name": "Roses"})
    scope = {"site_id": site["id"], "sector_id": sector["id"]}
    foreign = await account.call("POST", "writer/tasks", json={**account.brief(), **scope})
    assert foreign.status_code == 400
    assert list(foreign.json()["errors"]) == ["cluster_id"]
    first = await account.add_task()
    cluster = await account.create("writer/clusters", {"name": "Gardening", **scope})
    second = await account.add_task(cluster_id=cluster["id"], **scope)
    assert second["sector_name"] == "Roses"
    both = await account.ask(first["id"], second["id"])
    assert both.status_code == 400
    assert list(both.json()["errors"]) == ["ids"]
    assert [t["id"] for t in await account.list("writer/tasks", **scope)] == [second["id"]]
    assert len(await account.list("writer/tasks")) == 2


async def test_a_list_is_read_whole_by_token_while_others_add_to_it(account):
    made = [await account.add_task(f"Rose {number}") for number in range(5)]
    url, seen = "writer/tasks?page_size=2&page_token=", []
    while url is not None:
        page = (await account.call("GET", url)).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"] and page["next"].split(API + "/", 1)[1]
        await account.add_task("In between")
    assert seen == [task["id"] for task in reversed(made)]
