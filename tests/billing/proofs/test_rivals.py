"""Available 3 and ten reserves of 3 from several processes at once: one gets it, nine are told
the right numbers, whichever limit it is."""

import asyncio
import contextlib
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from writer.billing.v1 import budgets_pb2

from chassis.caller import Caller
from chassis.replies import Reply
from services.billing.domain import Balance, BudgetScope, TransactionType
from services.billing.mapping import budget_to_proto
from services.billing.service import Request
from tests.billing.proofs import books

ROOT = Path(__file__).resolve().parents[3]
PROCESSES = 4
ATTEMPTS = 10
LIMITS = {"account": "", "site": "site-1", "api_key": "key-1", "run": "run-1"}


@contextlib.asynccontextmanager
async def rivals(url):
    """Processes that take lines of attempts."""
    command = (sys.executable, "-m", "tests.billing.proofs.rival", url)
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
        yield processes
    finally:
        for process in processes:
            process.stdin.close()
        for process in processes:
            await asyncio.wait_for(process.wait(), 30)


async def prepare(billing, limit, account):
    """An account on which 3 credits can be reserved, because of this limit only."""
    who = Caller.service("billing", account_id=account)
    granted = 3 if limit == "account" else 100
    await billing.grants.create(who, Request("r", "why"), TransactionType.PURCHASE, granted)
    if limit != "account":
        scope = BudgetScope(limit)
        request = budgets_pb2.CreateBudgetRequest()
        reply = Reply(who, "CreateBudget", request, budgets_pb2.Budget, budget_to_proto)
        await billing.budgets.create(who, scope, LIMITS[limit], 3, reply)
    return Balance(granted, granted - 3, 3, 0)


async def contest(processes, account):
    """The outcomes of ten attempts, dealt out to all processes."""
    attempts = [(account, f"key-{n}", "run-1", "key-1") for n in range(ATTEMPTS)]
    for number, process in enumerate(processes):
        line = json.dumps(attempts[number :: len(processes)])
        process.stdin.write(f"{line}\n".encode())
    lines = await asyncio.gather(*(process.stdout.readline() for process in processes))
    return [(reason, tuple(sorted(told.items()))) for ln in lines for reason, told in json.loads(ln)]


async def compete(billing, url, rounds):
    async with rivals(url) as processes:
        for number in range(rounds):
            for limit, limit_id in LIMITS.items():
                account = f"{limit}-{number:04}-"
                expected = await prepare(billing, limit, account)
                outcomes = Counter(await contest(processes, account))
                told = {
                    "required": "3",
                    "available": "0",
                    "limit": limit,
                    "limit_id": limit_id or account,
                }
                refused = ("INSUFFICIENT_CREDITS", tuple(sorted(told.items())))
                assert outcomes == {("RESERVED", ()): 1, refused: ATTEMPTS - 1}, (limit, number)
                who = Caller.service("billing", account_id=account)
                assert await billing.balance(who) == expected
                await billing.database.read(lambda c, a=account: books.check(c, a))
    assert await billing.drifts() == []


async def test_one_of_ten_gets_it_whatever_the_limit(billing, database_url):
    await compete(billing, database_url, 3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_one_of_ten_gets_it_two_hundred_times(billing, database_url):
    await compete(billing, database_url, 200)
