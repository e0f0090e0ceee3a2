"""What the ledger's benchmark does to a database: pairs of reserve and commit, and bare changes."""

from sqlalchemy import text

from chassis.caller import Caller
from chassis.database import open_database
from chassis.ids import new_id
from chassis.outbox import Outbox
from services.billing import schema
from services.billing.domain import AiCall, Item, Operation, TransactionType
from services.billing.service import Grants, GroupCommit, Request, Reservations, Settlement

ACCOUNTS = 1_000
GRANTED = 1_000_000
BATCH = 10
CALL = AiCall(model="gpt-5-mini", prompt_tokens=900, completion_tokens=1400, object_id="text-1")


class Bench:
    """One migrated database and what can be done to it."""

    def __init__(self, url):
        self.url = url
        self.database = open_database(url)
        outbox = Outbox("billing")
        group_commit = GroupCommit(self.database, outbox)
        self.reservations = Reservations(group_commit)
        self.settlement = Settlement(group_commit)
        self.grants = Grants(self.database, outbox)
        self.spread = [f"spread-{number:04}" for number in range(ACCOUNTS)]
        self.turn = 0

    async def fill(self):
        """Every account gets a grant; the bare transactions get as many rows."""
        for account in ["hot", *self.spread]:
            who = Caller.service("billing", account_id=account)
            await self.grants.create(
                who, Request("fill", "benchmark"), TransactionType.PURCHASE, GRANTED
            )

        def rows(connection):
            connection.execute(text("CREATE TABLE bare (id INTEGER PRIMARY KEY, n INTEGER)"))
            numbers = [{"id": number} for number in range(ACCOUNTS)]
            connection.execute(text("INSERT INTO bare VALUES (:id, 0)"), numbers)

        await self.database.write(rows)

    def next_turn(self):
        self.turn += 1
        return self.turn

    async def bare(self, number):
        """One row is changed, one commit: through the same class as the service."""
        statement = text("UPDATE bare SET n = n + 1 WHERE id = :id")
        await self.database.write(lambda connection: connection.execute(statement, {"id": number}))

    async def bare_spread(self):
        await self.bare(self.next_turn() % ACCOUNTS)

    async def bare_hot(self):
        await self.bare(0)

    async def pair(self, account):
        who = Caller.service("tasks", account_id=account, site_id="site-1", request_id="request-1")
        key = new_id()
        await self.reservations.reserve(who, [Item(key, Operation.CONTENT_GENERATION, 1000)])
        await self.settlement.commit(who, key, 640, CALL)

    async def pair_spread(self):
        await self.pair(self.spread[self.next_turn() % ACCOUNTS])

    async def pair_hot(self):
        await self.pair("hot")

    async def batch_hot(self):
        """Ten reservations in one call, each committed by its own."""
        who = Caller.service("tasks", account_id="hot", site_id="site-1", request_id="request-1")
        keys = [new_id() for _ in range(BATCH)]
        items = [Item(key, Operation.CONTENT_GENERATION, 1000) for key in keys]
        await self.reservations.reserve(who, items)
        for key in keys:
            await self.settlement.commit(who, key, 640, CALL)

    async def drain(self):
        """The outbox is emptied, as the relay does, between rounds."""
        outbox = schema.metadata.tables["outbox"]
        await self.database.write(lambda connection: connection.execute(outbox.delete()))
