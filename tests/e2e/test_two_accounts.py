"""Two accounts at work at the same time: neither finds a trace of the other anywhere."""

import asyncio

import pytest
from e2e.people import API, LISTS, unique
from e2e.tenants import at_work, masked

from chassis import ids


@pytest.fixture
async def tenants(writer):
    """Two accounts whose runs were interleaved."""
    return await asyncio.gather(at_work(writer, "Zirconium"), at_work(writer, "Palladium"))


async def everything(tenant):
    """The text of every list and of every single thing of an account."""
    account, texts = tenant.account, []
    for path in LISTS:
        query = {"page_size": 100} | ({"view": "full"} if path == "writer/content" else {})
        texts.append((await account.call("GET", path, params=query)).text)
    for template, own_id in tenant.paths.items():
        texts.append((await account.call("GET", template.format(own_id))).text)
    texts.append((await account.call("GET", "auth/me")).text)
    texts.append((await account.call("GET", "billing/credits/balance")).text)
    return "\n".join(texts)


async def test_accounts_at_work_at_once_see_only_their_own(tenants):
    one, other = tenants
    for mine, foreign in ((one, other), (other, one)):
        seen = await everything(mine)
        assert mine.word.lower() in seen.lower()
        assert foreign.word.lower() not in seen.lower()
        assert [each for each in foreign.own_ids if each in seen] == []
        assert [each for each in mine.own_ids if each not in seen] == []
        assert len(mine.contents) == 2
        assert len(mine.images) == 6
    await foreign_ids_are_unknown(one, other)
    await foreign_filters_find_nothing(one, other)
    await foreign_things_cannot_be_used(one, other)
    await pictures_are_public_by_id(one, other)


async def foreign_ids_are_unknown(one, other):
    for template, foreign_id in other.paths.items():
        unknown = ids.new_id()
        answers = [
            masked(await one.account.call("GET", template.format(each)), each)
            for each in (foreign_id, unknown)
        ]
        assert answers[0] == answers[1], template
        assert answers[0][0] == 404


async def foreign_filters_find_nothing(one, other):
    filters = [
        ("writer/tasks", "cluster_id", other.cluster["id"]),
        ("writer/content", "cluster_id", other.cluster["id"]),
        ("writer/content", "task_id", other.tasks[0]["id"]),
        ("writer/content", "taxonomy_term_id", other.terms[0]["id"]),
        ("writer/images", "content_id", other.contents[0]["id"]),
        ("billing/credits/usage", "run_id", other.run["id"]),
        ("auth/sectors", "site_id", other.site["id"]),
        ("writer/tasks", "site_id", other.site["id"]),
        ("writer/images", "sector_id", other.sector["id"]),
    ]
    for path, name, foreign_id in filters:
        unknown = ids.new_id()
        answers = [
            masked(await one.account.call("GET", path, params={name: each}), each)
            for each in (foreign_id, unknown)
        ]
        assert answers[0] == answers[1], (path, name)
        assert answers[0][0] in {200, 400, 404}
        assert '"results":[{' not in answers[0][2]


async def foreign_things_cannot_be_used(one, other):
    """Every id in a body or header: the same refusal as for an unknown one, and no effect."""
    account = one.account
    before = [await tenant.account.state() for tenant in (one, other)]

    def uses(task_id, cluster_id, site_id, sector_id, key_id, term_id, user_id):
        brief = account.brief()
        own = [one.tasks[0]["id"]]
        return {
            "generate": ("writer/tasks/auto_generate_content", {"ids": [task_id]}, {}),
            "generate among own": (
                "writer/tasks/auto_generate_content", {"ids": [task_id, *own]}, {}
            ),
            "task in cluster": ("writer/tasks", {**brief, "cluster_id": cluster_id}, {}),
            "task under term": ("writer/tasks", {**brief, "taxonomy_term_id": term_id}, {}),
            "task in site": ("writer/tasks", {**brief, "site_id": site_id}, {}),
            "task in sector": ("writer/tasks", {**brief, "sector_id": sector_id}, {}),
            "task in both": (
                "writer/tasks", {**brief, "site_id": site_id, "sector_id": sector_id}, {}
            ),
            "task by headers": (
                "writer/tasks",
                {k: v for k, v in brief.items() if k not in account.scope},
                {"X-Site-Id": site_id, "X-Sector-Id": sector_id},
            ),
            "cluster": (
                "writer/clusters", {"name": "x", "site_id": site_id, "sector_id": sector_id}, {}
            ),
            "sector": ("auth/sectors", {"site_id": site_id, "name": "x"}, {}),
            "key": ("auth/api_keys", {"name": "x", "limited_site_id": site_id}, {}),
            "revoke": (f"auth/api_keys/{key_id}/revoke", {}, {}),
            "rotate": (f"auth/api_keys/{key_id}/rotate", {"overlap_s": 60}, {}),
            "invite": (
                "auth/invitations", {"email": "x@example.com", "granted_site_ids": [site_id]}, {}
            ),
            "deactivate": (f"auth/users/{user_id}/deactivate", {}, {}),
            "grant": (f"auth/users/{user_id}/sites/{site_id}", {}, {}),
        }  # fmt: skip

    foreign_ids = [
        other.tasks[0]["id"], other.cluster["id"], other.site["id"], other.sector["id"],
        other.key["id"], other.terms[0]["id"], other.account.session["user"]["id"],
    ]  # fmt: skip
    unknown_ids = [ids.new_id() for _ in foreign_ids]
    foreign, unknown = uses(*foreign_ids), uses(*unknown_ids)
    for name in foreign:
        answers = []
        for (path, body, headers), known in (
            (foreign[name], foreign_ids),
            (unknown[name], unknown_ids),
        ):
            answer = await account.call("POST", path, json=body, headers=headers)
            answers.append(masked(answer, *known))
        assert answers[0] == answers[1], name
        assert answers[0][0] in {400, 404}, name
    after = [await tenant.account.state() for tenant in (one, other)]
    assert after == before
    works = await other.account.by(f"ApiKey {other.key['key']}").call("GET", "auth/me")
    assert works.status_code == 200


async def pictures_are_public_by_id(one, other):
    for image in (one.images[0], other.images[0]):
        answers = [
            await one.account.client.get(image["image_url"]),
            await one.account.client.get(
                image["image_url"], headers={"Authorization": one.account.authorization}
            ),
        ]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].content == answers[1].content


async def test_the_same_names_and_idempotency_keys_do_not_meet(writer):
    accounts = [await writer.register() for _ in range(2)]
    key = {"Idempotency-Key": ids.new_id()}
    tasks = [
        await account.create("writer/tasks", account.brief("The same title"), **key)
        for account in accounts
    ]
    assert tasks[0]["id"] != tasks[1]["id"]
    runs = await asyncio.gather(
        *(a.generate(t["id"], **key) for a, t in zip(accounts, tasks, strict=True))
    )
    assert runs[0]["id"] != runs[1]["id"]
    for account, run in zip(accounts, runs, strict=True):
        assert (await account.ended(run))["state"] == "succeeded"
        assert (await account.settled())["spent"] == 2


async def test_a_key_of_one_site_sees_nothing_of_the_others(account):
    site = await account.create("auth/sites", {"name": "Second"})
    scope = {"site_id": site["id"], "sector_id": site["default_sector_id"]}
    cluster = await account.create("writer/clusters", {"name": "There", **scope})
    there = await account.add_task("There", cluster_id=cluster["id"], **scope)
    here = await account.add_task("Here")
    limited = await account.by_key("editor", limited_site_id=site["id"])

    assert [task["id"] for task in await limited.list("writer/tasks")] == [there["id"]]
    assert [each["id"] for each in await limited.list("auth/sites")] == [site["id"]]
    unknown = ids.new_id()
    answers = [
        masked(await limited.call("GET", f"writer/tasks/{each}"), each)
        for each in (here["id"], unknown)
    ]
    assert answers[0] == answers[1]
    assert (await limited.ask(here["id"], there["id"])).status_code == 404
    refused = await limited.call("POST", "writer/tasks", json=account.brief())
    assert refused.status_code == 403
    assert refused.json()["code"] == "SITE_FORBIDDEN"
    assert (await limited.ended(await limited.generate(there["id"])))["state"] == "succeeded"
    assert len(await limited.list("writer/content")) == 1


async def test_an_address_belongs_to_one_account(writer):
    email = f"{unique('taken')}@example.com"
    await writer.register(email=email)
    again = await writer.client.post(
        f"{API}/auth/register", json={"email": email.upper(), "password": "another password"}
    )
    assert again.status_code == 409
    assert again.json()["code"] == "ALREADY_EXISTS"
