"""A process of its own that reserves when it is told to: `python -m tests.billing.proofs.rival`.

Reads lines of JSON, each the URL of a database and a list of attempts; makes them at once, on
several connections, and answers a line with what became of each. No URL: closes the database.
"""

import asyncio
import json
import sys

from chassis.caller import Caller
from chassis.database import open_database
from chassis.errors import Refusal
from chassis.outbox import Outbox
from services.billing.domain import Item, Operation
from services.billing.service import GroupCommit, Reservations, Work


async def attempt(reservations, account, key, run, api_key):
    who = Caller.service("tasks", account_id=account, site_id="site-1", request_id="request-1")
    item = Item(key, Operation.IMAGE_GENERATION, 3)
    try:
        await reservations.reserve(who, [item], work_for=Work(run_id=run, api_key_id=api_key))
    except Refusal as refusal:
        return [refusal.reason, dict(refusal.metadata)]
    return ["RESERVED", {}]


async def main():
    url, databases, services = "", [], []
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked, attempts = json.loads(line)
        if asked != url:
            for database in databases:
                await database.close()
            # Two databases a process: on SQLite, two connections that write.
            url, databases = asked, [open_database(asked) for _ in range(2 if asked else 0)]
            services = [
                Reservations(GroupCommit(database, Outbox("billing"))) for database in databases
            ]
        outcomes = await asyncio.gather(
            *(attempt(services[n % 2], *each) for n, each in enumerate(attempts))
        )
        sys.stdout.write(json.dumps(outcomes) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
