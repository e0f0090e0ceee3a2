"""Available 3 and ten reserves of 3 from several processes at once: one gets it, nine are told
the right numbers, whichever limit it is."""

import asyncio
import contextlib
import itertools
import json
import subprocess
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
PROCESSES = 3
ATTEMPTS = 10
LIMITS = {"account": "", "site": "site-1", "api_key": "key-1", "run": "run-1"}


@pytest.fixture(scope="module")
def rivals():
    """Processes that take lines of attempts; for both databases, because they start slowly."""
    command = (sys.executable, "-m", "tests.billing.proofs.rival")
    with contextlib.ExitStack() as stack:
        processes = []
        for _ in range(PROCESSES):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, **pipes))
            stack.callback(process.stdin.close)
            processes.append(process)
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        yield processes


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


def tell(processes, url, attempts):
    """What becomes of attempts that are dealt out to all processes."""
    for number, process in enumerate(processes):
        process.stdin.write(json.dumps([url, attempts[number :: len(processes)]]) + "\n")
        process.stdin.flush()
    lines = [process.stdout.readline() for process in processes]
    return [
        (reason, tuple(sorted(told.items()))) for ln in lines for reason, told in json.loads(ln)
    ]


async def compete(billing, url, processes, rounds):
    for number, (limit, limit_id) in itertools.product(range(rounds), LIMITS.items()):
        account = f"{limit}-{number:04}-"
        expected = await prepare(billing, limit, account)
        attempts = [(account, f"key-{n}", "run-1", "key-1") for n in range(ATTEMPTS)]
        outcomes = Counter(await asyncio.to_thread(tell, processes, url, attempts))
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
    await asyncio.to_thread(tell, processes, "", [])
    assert await billing.drifts() == []


async def test_one_of_ten_gets_it_whatever_the_limit(billing, database_url, rivals):
    await compete(billing, database_url, rivals, 3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_one_of_ten_gets_it_two_hundred_times(billing, database_url, rivals):
    await compete(billing, database_url, rivals, 200)
