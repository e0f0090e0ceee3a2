"""From an account to an illustrated article, through all processes."""

import asyncio
import io
from math import ceil

import pytest
from e2e.people import API, PASSWORD, eventually
from PIL import Image

from chassis import ids

BRIEF = {
    "title": "How to water roses in a dry summer",
    "description": "For people with a small garden and little time.",
    "keywords": "watering roses, dry summer, mulch",
    "content_structure": "guide",
    "word_count": 450,
}


@pytest.fixture(scope="module")
def sizes():
    return {"featured": (1536, 1024), "in_article": (1024, 1024)}


async def test_from_registering_to_an_illustrated_article_in_review(any_writer, sizes):
    writer = any_writer
    account = await writer.register()
    login = await writer.client.post(
        f"{API}/auth/login", json={"email": account.email, "password": PASSWORD}
    )
    assert login.status_code == 200
    person = account.by(f"Bearer {login.json()['data']['access_token']}")
    program = await person.by_key("admin")
    await program.add_cluster("Gardens")
    tasks = [await program.add_task(**BRIEF), await program.add_task("Ten herbs for a balcony")]

    answer = await program.ask(*(task["id"] for task in tasks), stop_after="images")
    assert answer.status_code == 202
    accepted = answer.json()["data"]
    assert accepted["state"] == "queued"
    assert accepted["counts"]["queued"] == 2
    assert accepted["credits_reserved"] == 5 + 2
    assert [each["task_id"] for each in accepted["generations"]] == [task["id"] for task in tasks]

    states = []

    async def look():
        run = await program.get(f"writer/runs/{accepted['id']}")
        states.append(run["state"])
        return run

    run = await eventually(look, lambda run: run["state"] not in {"queued", "running"}, "it ends")
    # Read at once: whoever sees the end of the run sees all of its effects.
    contents = [await person.get(f"writer/content/{g['content_id']}") for g in run["generations"]]
    assert run["state"] == "succeeded"
    assert states == sorted(states, key=["queued", "running", "succeeded"].index)
    assert [content["status"] for content in contents] == ["review", "review"]
    assert run["counts"]["succeeded"] == 2
    for generation, content, task in zip(run["generations"], contents, tasks, strict=True):
        check_content(content, generation, task)
        stored = await person.get(f"writer/tasks/{task['id']}")
        assert (stored["status"], stored["content_id"]) == ("completed", content["id"])
        assert stored["generation"]["state"] == "succeeded"
        images = await person.list("writer/images", content_id=content["id"], ordering="position")
        await check_images(writer, images, sizes)
    await check_credits(person, run)


def check_content(content, generation, task):
    assert content["title"] == task["title"]
    assert abs(content["word_count"] - task["word_count"]) <= task["word_count"] * 0.1
    assert content["word_count"] == generation["word_count"]
    assert content["task_id"] == task["id"]
    assert content["generation_id"] == generation["id"]
    assert content["cluster_id"] == task["cluster_id"]
    assert (content["source"], content["sync_status"]) == ("igny8", "native")
    assert 0 < len(content["meta_title"]) <= 70
    assert 0 < len(content["meta_description"]) <= 160
    assert content["excerpt"]
    assert content["primary_keyword"]
    assert content["categories"]
    assert content["tags"]
    assert all(term["id"] and term["name"] and term["slug"] for term in content["tags"])
    assert "<h2>" in content["content_html"]
    assert content["images"] == {
        "has_featured": True, "pending": 0, "generated": 3, "failed": 0
    }  # fmt: skip
    provenance = content["provenance"]
    assert provenance["model"] == generation["model"] == "offline-writer-1"
    assert provenance["completion_tokens"] == generation["completion_tokens"] > 0
    assert provenance["prompt_version"]
    assert generation["images"] == {
        "state": "succeeded", "total": 3, "generated": 3, "failed": 0, "reason": ""
    }  # fmt: skip


async def check_images(writer, images, sizes):
    kinds = sorted((image["image_type"], image["position"]) for image in images)
    assert kinds == [("featured", 0), ("in_article", 0), ("in_article", 1)]
    for image in images:
        assert image["status"] == "generated"
        assert image["alt_text"]
        assert image["prompt"]
        assert image["image_url"] == f"{API}/writer/images/{image['id']}/file"
        # Published articles show their pictures to everyone: no credentials.
        file = await writer.client.get(image["image_url"])
        assert file.status_code == 200
        assert file.headers["content-type"] == image["mime_type"] == "image/png"
        assert file.headers["etag"] == f'"{image["sha256"]}"'
        assert len(file.content) == image["bytes"]
        with Image.open(io.BytesIO(file.content)) as picture:
            assert picture.format == "PNG"
            assert picture.size == (image["width"], image["height"]) == sizes[image["image_type"]]
        known = {"If-None-Match": file.headers["etag"]}
        again = await writer.client.get(image["image_url"], headers=known)
        assert (again.status_code, again.content) == (304, b"")


async def check_credits(account, run):
    """Text by words begun in hundreds, 2 for the prompts and 1 a picture of each article."""
    texts = sum(ceil(each["word_count"] / 100) for each in run["generations"])
    balance = await account.settled()
    spent = texts + 2 * (2 + 3)
    assert balance["spent"] == spent
    assert balance["available"] == balance["granted"] - spent == 100 - spent
    assert balance["plan"] == "free"
    transactions = await account.list("billing/credits/transactions")
    assert sum(each["amount"] for each in transactions) == balance["available"]
    assert [each["transaction_type"] for each in transactions].count("subscription") == 1
    usage = await account.list("billing/credits/usage")
    kinds = sorted(record["operation_type"] for record in usage)
    assert kinds == (
        ["content_generation"] * 2 + ["image_generation"] * 6 + ["image_prompt_extraction"] * 2
    )
    assert all(record["run_id"] == run["id"] for record in usage)
    assert sum(record["credits"] for record in usage) == spent
    assert len({record["transaction_id"] for record in usage}) == len(usage)
    assert all(record["model"] and record["completion_tokens"] for record in usage)
    assert (await account.charged(run))["credits_charged"] == spent


async def test_without_a_stage_the_run_ends_with_a_draft_without_pictures(account):
    run = await account.written("How to prune apple trees")
    assert (run["state"], run["stop_after"]) == ("succeeded", "content")
    [generation] = run["generations"]
    assert "images" not in generation
    content = await account.get(f"writer/content/{generation['content_id']}")
    assert content["status"] == "draft"
    assert await account.list("writer/images") == []
    assert (await account.settled())["spent"] == 2


async def test_prompts_alone_leave_pending_pictures_that_nobody_pays_for(account):
    run = await account.written("How to prune apple trees", stop_after="image_prompts")
    assert run["state"] == "succeeded"
    [generation] = run["generations"]
    assert generation["images"]["total"] == 3
    assert generation["images"]["generated"] == 0
    images = await account.list("writer/images")
    assert [image["status"] for image in images] == ["pending"] * 3
    assert all(image["prompt"] and image["alt_text"] for image in images)
    assert all(image["image_url"] == "" for image in images)
    content = await account.get(f"writer/content/{generation['content_id']}")
    assert content["status"] == "draft"
    assert content["images"]["pending"] == 3
    assert (await account.settled())["spent"] == 2 + 2
    file = await account.call("GET", f"writer/images/{images[0]['id']}/file")
    assert file.status_code == 404


async def test_a_written_task_is_not_written_again_unasked(account):
    run = await account.written("How to prune apple trees")
    [generation] = run["generations"]
    before = await account.state()
    answer = await account.ask(generation["task_id"])
    assert answer.status_code == 409
    assert answer.json()["code"] == "INVALID_TRANSITION"
    assert await account.state() == before


async def test_a_repeated_request_answers_the_same_run_and_is_charged_once(account):
    first, second = [await account.add_task(f"Task {number}") for number in range(2)]
    key = {"Idempotency-Key": ids.new_id()}
    answers = await asyncio.gather(*(account.ask(first["id"], **key) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    [run_id] = {answer.json()["data"]["id"] for answer in answers}

    other = await account.ask(first["id"], second["id"], **key)
    assert other.status_code == 422
    assert other.json()["code"] == "REQUEST_ID_REUSED"
    run = await account.ended({"id": run_id})
    assert run["state"] == "succeeded"
    assert (await account.ask(first["id"], **key)).json()["data"]["id"] == run_id
    assert len(await account.list("writer/runs")) == 1
    assert len(await account.list("writer/content")) == 1
    assert (await account.settled())["spent"] == 2


async def test_of_two_requests_for_one_task_at_the_same_time_one_is_accepted(account):
    task = await account.add_task()
    answers = await asyncio.gather(*(account.ask(task["id"]) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 5
    accepted = next(answer for answer in answers if answer.status_code == 202)
    assert (await account.ended(accepted.json()["data"]))["state"] == "succeeded"
    assert len(await account.list("writer/runs")) == 1
    assert (await account.settled())["spent"] == 2


async def test_a_repeated_creation_makes_one_task(account):
    key = {"Idempotency-Key": ids.new_id()}
    brief = account.brief()
    answers = await asyncio.gather(
        *(account.call("POST", "writer/tasks", json=brief, headers=key) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1
    other = await account.call(
        "POST", "writer/tasks", json={**brief, "title": "Another"}, headers=key
    )
    assert other.status_code == 422
    assert other.json()["code"] == "REQUEST_ID_REUSED"
    assert len(await account.list("writer/tasks")) == 1
