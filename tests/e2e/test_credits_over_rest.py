"""Credits as a manager meets them over REST: ceilings, plans, where credits came from and went."""

API = "billing"


async def test_a_key_is_held_to_its_budget_and_told_which_limit_it_was(account):
    made = await account.create(
        "auth/api_keys", {"name": "a program with little to spend", "role": "editor"}
    )
    body = {"scope": "api_key", "scope_id": made["id"], "credits": 2}
    budget = await account.create(f"{API}/budgets", body, **{"Idempotency-Key": "one"})
    assert await account.create(f"{API}/budgets", body, **{"Idempotency-Key": "one"}) == budget
    program = account.by(f"ApiKey {made['key']}")
    tasks = [await account.add_task(word_count=150), await account.add_task(word_count=150)]

    refused = await program.ask(*(task["id"] for task in tasks))
    assert refused.status_code == 402
    assert refused.json()["details"] == {
        "required": 4,
        "available": 2,
        "limit": "api_key",
        "limit_id": made["id"],
    }
    await account.settled()
    changed = await account.call(
        "PATCH",
        f"{API}/budgets/{budget['id']}",
        json={"credits": 4},
        headers={"If-Match": f'"{budget["etag"]}"'},
    )
    assert changed.status_code == 200, changed.text
    late = await account.call(
        "PATCH",
        f"{API}/budgets/{budget['id']}",
        json={"credits": 9},
        headers={"If-Match": f'"{budget["etag"]}"'},
    )
    assert late.status_code == 412
    assert late.json()["errors"] == {"credits": ["has changed since you read it"]}
    assert late.json()["details"] == {"etag": changed.json()["data"]["etag"]}
    for body, field in (({"scope": "site"}, "scope"), ({"used": 1}, "used")):
        refused = await account.call("PATCH", f"{API}/budgets/{budget['id']}", json=body)
        assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])
    run = await account.ended(await program.generate(*(task["id"] for task in tasks)))
    assert run["state"] == "succeeded"
    await account.settled()
    [seen] = await account.list(f"{API}/budgets", scope="api_key")
    assert (seen["credits"], seen["used"]) == (4, 4)
    usage = await account.list(f"{API}/credits/usage", api_key_id=made["id"])
    assert sum(each["credits"] for each in usage) == 4
    gone = await account.call("DELETE", f"{API}/budgets/{budget['id']}")
    assert (gone.status_code, gone.content) == (204, b"")


async def test_a_manager_sees_where_credits_came_from_and_went(account):
    await account.written("How to mulch")
    balance = await account.settled()
    summary = await account.get(f"{API}/credits/usage/summary", group_by=["operation", "model"])
    [row] = summary["rows"]
    assert (row["operation_type"], row["calls"]) == ("content_generation", 1)
    assert row["completion_tokens"] > 0
    assert summary["total"]["credits"] == balance["spent"] == row["credits"]
    [grant] = await account.list(f"{API}/credits/grants")
    assert grant["available"] == 100 - balance["spent"]
    [deduction] = await account.list(f"{API}/credits/transactions", transaction_type="deduction")
    one = await account.get(f"{API}/credits/transactions/{deduction['id']}")
    assert one["grants"] == [{"grant_id": grant["id"], "credits": deduction["amount"]}]


async def test_a_plan_is_changed_and_credits_are_not_made_by_managers(account):
    answer = await account.call("POST", f"{API}/plans/change", json={"plan": "starter"})
    assert answer.status_code == 200, answer.text
    balance = answer.json()["data"]
    assert (balance["plan"], balance["available"]) == ("starter", 1000)
    for path, body in {
        "credits/grants": {"transaction_type": "purchase", "credits": 5},
        "credits/adjustments": {"credits": 5},
        "credits/refunds": {"transaction_id": "x"},
        "costs": {"operation_type": "linking", "credits": 0},
    }.items():
        answer = await account.call("POST", f"{API}/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN")
    versions = await account.list(f"{API}/costs/versions", operation_type="linking")
    assert [each["version"] for each in versions] == [1]
