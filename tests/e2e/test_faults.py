"""What a misbehaving model does to runs, contents and credits; over the real client and wire.

The cases of a test run at the same time, each in a run of its own: most of their time is
waiting. Text costs 2 credits here, prompts 2, each of three pictures 1.
"""

import asyncio
from dataclasses import dataclass

import pytest
from e2e.people import unique

UNAVAILABLE = "PROVIDER_UNAVAILABLE"
INVALID = "PROVIDER_OUTPUT_INVALID"
REFUSED = "PROVIDER_REFUSED"
TRUNCATED = "PROVIDER_TRUNCATED"
IN_CHATS = {
    "rate_limit=0": UNAVAILABLE,
    "rate_limit=90": UNAVAILABLE,  # a wait beyond our bound: not waited for
    "error": UNAVAILABLE,
    "hangup": UNAVAILABLE,
    "truncate": TRUNCATED,
    "refuse": REFUSED,
    "invalid_json": INVALID,
    "wrong_schema": INVALID,
    "empty": INVALID,
}
"""What each fault becomes when it does not pass."""
IN_PICTURES = {
    "rate_limit=0": UNAVAILABLE,
    "error": UNAVAILABLE,
    "hangup": UNAVAILABLE,
    "truncate": INVALID,
    "refuse": REFUSED,
    "invalid_json": INVALID,
}
PASSING = ("rate_limit=0", "error", "hangup", "truncate", "invalid_json")
"""Faults after which the same request is sent again."""
TEXT, PROMPTS, PICTURES = 2, 2, 3


@dataclass
class Outcome:
    """What is left of one article when its run has ended and its credits are settled."""

    run: dict
    task: dict
    content: dict | None
    images: list
    spent: int
    usage: list

    @property
    def generation(self):
        [generation] = self.run["generations"]
        return generation

    @property
    def shape(self):
        """The outcome in short, to compare it."""
        pictures = self.generation.get("images", {})
        return {
            "run": self.run["state"],
            "text": (self.generation["state"], self.generation["reason"]),
            "pictures": (pictures.get("state"), pictures.get("reason")),
            "task": (self.task["status"], self.task["generation"]["state"]),
            "content": self.content["status"] if self.content else None,
            "images": sorted((image["status"], image["reason"]) for image in self.images),
            "spent": self.spent,
            "charged": self.run["credits_charged"],
        }


def marked(*specs):
    """A title that makes the model misbehave; the model counts strikes by its whole request."""
    marks = "".join(f"[[offline:{spec}]]" for spec in specs)
    return f"{unique('How to water roses')} {marks}"


async def outcome(account, title, stop_after="images"):
    """Writes one task and says what became of it."""
    task = await account.add_task(title)
    run = await account.generate(task["id"], stop_after=stop_after)
    await account.ended(run)
    run = await account.charged(run)
    content_id = run["generations"][0]["content_id"]
    content = await account.get(f"writer/content/{content_id}") if content_id else None
    transactions = await account.list("billing/credits/transactions")
    return Outcome(
        run=run,
        task=await account.get(f"writer/tasks/{task['id']}"),
        content=content,
        images=await account.list("writer/images", content_id=content_id) if content_id else [],
        spent=-sum(each["amount"] for each in transactions if each["run_id"] == run["id"]),
        usage=await account.list("billing/credits/usage", run_id=run["id"]),
    )


async def outcomes(writer, titles, stop_after="images"):
    """One account for each case, all at once; what they are left with must add up."""
    accounts = await asyncio.gather(*(writer.register() for _ in titles))
    found = await asyncio.gather(
        *(
            outcome(account, title, stop_after)
            for account, title in zip(accounts, titles.values(), strict=True)
        )
    )
    for account, each in zip(accounts, found, strict=True):
        balance = await account.settled()
        assert (balance["available"], balance["spent"]) == (100 - each.spent, each.spent)
        assert sum(record["credits"] for record in each.usage) == each.spent
        # Nothing of a marker may reach a reader, and nobody else's task was touched.
        assert len(await account.list("writer/content")) == (1 if each.content else 0)
    return dict(zip(titles, found, strict=True))


def failed_text(reason):
    return {
        "run": "failed",
        "text": ("failed", reason),
        "pictures": ("failed", reason),
        "task": ("queued", "failed"),
        "content": None,
        "images": [],
        "spent": 0,
        "charged": 0,
    }


def failed_prompts(reason):
    return {
        "run": "partly_failed",
        "text": ("succeeded", ""),
        "pictures": ("failed", reason),
        "task": ("completed", "succeeded"),
        "content": "draft",
        "images": [],
        "spent": TEXT,
        "charged": TEXT,
    }


def failed_pictures(reason):
    return {
        **failed_prompts(reason),
        "images": [("failed", reason)] * PICTURES,
        "spent": TEXT + PROMPTS,
        "charged": TEXT + PROMPTS,
    }


def shapes(found):
    return {name: each.shape for name, each in found.items()}


async def test_a_text_that_cannot_be_had_fails_and_gives_all_credits_back(writer):
    found = await outcomes(writer, {fault: marked(f"text:{fault}") for fault in IN_CHATS})
    assert shapes(found) == {fault: failed_text(reason) for fault, reason in IN_CHATS.items()}
    assert all(each.generation["detail"] for each in found.values())


async def test_prompts_that_cannot_be_had_leave_a_paid_draft_without_pictures(writer):
    found = await outcomes(writer, {fault: marked(f"prompts:{fault}") for fault in IN_CHATS})
    assert shapes(found) == {fault: failed_prompts(reason) for fault, reason in IN_CHATS.items()}


async def test_pictures_that_cannot_be_had_are_not_charged_and_leave_a_draft(writer):
    found = await outcomes(writer, {fault: marked(f"image:{fault}") for fault in IN_PICTURES})
    assert shapes(found) == {
        fault: failed_pictures(reason) for fault, reason in IN_PICTURES.items()
    }
    for each in found.values():
        assert each.content["images"] == {
            "has_featured": False, "pending": 0, "generated": 0, "failed": PICTURES
        }  # fmt: skip
        assert all(image["image_url"] == "" for image in each.images)


def undisturbed(stop_after):
    """The outcome of an article when nothing goes wrong, up to this stage."""
    to_prompts, to_pictures = stop_after != "content", stop_after == "images"
    spent = TEXT + PROMPTS * to_prompts + PICTURES * to_pictures
    image = ("generated" if to_pictures else "pending", "")
    return {
        "run": "succeeded",
        "text": ("succeeded", ""),
        "pictures": ("succeeded", "") if to_prompts else (None, None),
        "task": ("completed", "succeeded"),
        "content": "review" if to_pictures else "draft",
        "images": [image] * PICTURES * to_prompts,
        "spent": spent,
        "charged": spent,
    }


@pytest.mark.parametrize(
    ("stage", "stop_after"),
    [("text", "content"), ("prompts", "image_prompts"), ("image", "images")],
)
async def test_a_fault_that_passes_leaves_no_trace_and_is_charged_once(writer, stage, stop_after):
    titles = {fault: marked(f"{stage}:{fault}*1") for fault in PASSING}
    found = await outcomes(writer, titles, stop_after)
    assert shapes(found) == dict.fromkeys(PASSING, undisturbed(stop_after))


async def test_a_model_that_stalls_is_given_up_and_one_that_wakes_up_is_not(writer):
    stages = ("text", "prompts", "image")
    found = await outcomes(
        writer,
        {f"{stage} lasting": marked(f"{stage}:stall") for stage in stages}
        | {f"{stage} passing": marked(f"{stage}:stall*1") for stage in stages},
    )
    assert shapes(found) == {
        "text lasting": failed_text(UNAVAILABLE),
        "prompts lasting": failed_prompts(UNAVAILABLE),
        "image lasting": failed_pictures(UNAVAILABLE),
        **{f"{stage} passing": undisturbed("images") for stage in stages},
    }


async def test_a_fault_at_every_stage_is_overcome_as_well(writer):
    faults = ("text:error*1", "prompts:hangup*1", "image:rate_limit=0*1")
    found = await outcomes(writer, {"all": marked(*faults)})
    assert found["all"].shape == undisturbed("images")


async def test_of_a_run_with_good_and_bad_articles_the_good_ones_are_finished(account):
    titles = (marked(), marked("text:refuse"), marked("image:refuse"))
    run = await account.written(*titles, stop_after="images")
    assert run["state"] == "partly_failed"
    assert [g["state"] for g in run["generations"]] == ["succeeded", "failed", "succeeded"]
    assert [g["images"]["state"] for g in run["generations"]] == ["succeeded", "failed", "failed"]
    contents = {c["task_id"]: c["status"] for c in await account.list("writer/content")}
    good, _, bare = (g["task_id"] for g in run["generations"])
    assert contents == {good: "review", bare: "draft"}
    assert (await account.settled())["spent"] == 2 * (TEXT + PROMPTS) + PICTURES


async def test_a_failed_task_can_be_written_again(account):
    task = await account.add_task(marked("text:refuse*1"))
    first = await account.ended(await account.generate(task["id"]))
    assert first["state"] == "failed"
    second = await account.ended(await account.generate(task["id"]))
    assert second["state"] == "succeeded"
    assert (await account.get(f"writer/tasks/{task['id']}"))["status"] == "completed"
    assert (await account.settled())["spent"] == TEXT


async def test_the_wait_that_the_model_asks_for_is_kept(account, writer):
    title = marked("text:rate_limit=1*1")
    run = await account.written(title)
    assert run["state"] == "succeeded"
    journal = await writer.client.get(
        f"http://{writer.stack.addresses['model']}/offline/requests",
        headers={"Authorization": "Bearer test"},
    )
    refused, answered = (
        entry for entry in journal.json() if entry["title"] == title and entry["kind"] == "text"
    )
    assert (refused["state"], answered["state"]) == ("failed", "answered")
    assert answered["started"] - refused["ended"] >= 1
