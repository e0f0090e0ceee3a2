"""Where the credits end: before a run nothing changes, inside one everything paid for is kept."""

import asyncio

from e2e.people import unique


async def spend_down_to(account, rest):
    """Writes texts until exactly so many credits are left; an article of 100 words costs 1."""
    while True:
        left = (await account.settled())["available"] - rest
        if left == 0:
            return
        run = await account.written(unique("Spending"), word_count=100 * min(left, 30))
        assert run["state"] == "succeeded", run


async def test_too_few_credits_are_402_and_nothing_changes(account):
    tasks = [await account.add_task(word_count=words) for words in (5_000, 5_100)]
    before = await account.state()
    answer = await account.ask(*(task["id"] for task in tasks), stop_after="images")
    assert answer.status_code == 402
    body = answer.json()
    assert (body["success"], body["code"]) == (False, "INSUFFICIENT_CREDITS")
    assert (body["details"]["required"], body["details"]["available"]) == (101, 100)
    assert await account.state() == before
    # The same account still pays for what it can pay for.
    assert (await account.written("A short one"))["state"] == "succeeded"


async def test_of_runs_that_compete_for_the_last_credits_only_some_are_accepted(account):
    pairs = [
        [(await account.add_task(unique("Long"), word_count=2_000))["id"] for _ in range(2)]
        for _ in range(4)
    ]
    answers = await asyncio.gather(*(account.ask(*pair) for pair in pairs))
    assert sorted(answer.status_code for answer in answers) == [202, 202, 402, 402]
    for answer in answers:
        if answer.status_code == 402:
            details = answer.json()["details"]
            assert details["required"] == 40 > details["available"]
    await asyncio.gather(
        *(account.ended(a.json()["data"]) for a in answers if a.status_code == 202)
    )
    balance = await account.settled()
    assert balance["available"] == 100 - balance["spent"] >= 20
    assert len(await account.list("writer/content")) == 4


async def stopped(account, rest):
    """The run of one article with pictures, when so many credits are left for all of it."""
    await spend_down_to(account, rest)
    run = await account.written("The last one", word_count=100, stop_after="images")
    run = await account.charged(run)
    [generation] = run["generations"]
    content = await account.get(f"writer/content/{generation['content_id']}")
    images = await account.list("writer/images", content_id=content["id"])
    assert generation["state"] == "succeeded"
    assert generation["images"]["state"] == "budget_reached"
    assert generation["images"]["reason"] == "INSUFFICIENT_CREDITS"
    assert content["status"] == "draft"
    assert content["word_count"] > 0
    return run, [image["status"] for image in images], await account.settled()


async def test_credits_that_end_before_the_pictures_keep_what_was_made(writer):
    accounts = [await writer.register() for _ in range(2)]
    prompts_short, pictures_short = await asyncio.gather(
        stopped(accounts[0], 2), stopped(accounts[1], 5)
    )

    run, images, balance = prompts_short
    assert (run["state"], run["credits_charged"], images) == ("budget_reached", 1, [])
    assert (balance["available"], balance["reserved"]) == (1, 0)

    run, images, balance = pictures_short
    assert (run["state"], run["credits_charged"]) == ("budget_reached", 1 + 2)
    assert images == ["pending"] * 3
    assert (balance["available"], balance["reserved"]) == (2, 0)

    for account in accounts:
        transactions = await account.list("billing/credits/transactions")
        balance = await account.get("billing/credits/balance")
        assert sum(each["amount"] for each in transactions) == balance["available"]


async def test_a_quote_says_what_would_be_held_and_changes_nothing(account):
    before = await account.state()
    items = [
        {"key": "text", "operation_type": "content_generation", "quantity": 950},
        {"key": "prompts", "operation_type": "image_prompt_extraction", "quantity": 1},
        {"key": "pictures", "operation_type": "image_generation", "quantity": 200},
    ]
    answer = await account.call("POST", "billing/credits/quote", json={"items": items})
    assert answer.status_code == 200
    quote = answer.json()["data"]
    assert [item["credits"] for item in quote["items"]] == [10, 2, 200]
    assert (quote["credits"], quote["available"]) == (212, 100)
    assert await account.state() == before


async def test_prices_and_plans_are_those_of_the_domain(account):
    costs = {
        (cost["operation_type"], cost["variant"]): (cost["unit"], cost["credits"])
        for cost in await account.rows("billing/costs")
    }
    assert costs[("content_generation", "")] == ("per_100_words", 1)
    assert costs[("image_prompt_extraction", "")] == ("per_request", 2)
    assert costs[("image_generation", "standard")] == ("per_image", 1)
    assert costs[("image_generation", "premium")] == ("per_image", 4)
    plans = {plan["name"]: plan["credits"] for plan in await account.rows("billing/plans")}
    assert plans == {
        "free": 100, "starter": 1_000, "growth": 2_000, "scale": 4_000, "enterprise": 10_000
    }  # fmt: skip
