"""Every operation of billing as a value that can be drawn, run, and run again."""

from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import strategies as st
from sqlalchemy import select
from writer.billing.v1 import budgets_pb2

from chassis import clock
from chassis.caller import Caller
from chassis.errors import Refusal
from chassis.replies import Reply
from services.billing import schema
from services.billing.domain import BudgetScope, Operation, TransactionType
from services.billing.mapping import budget_to_proto
from services.billing.service import Heard, Request, Work
from tests.billing.samples import CALL, OPERATOR, picture, text

KEYS = st.sampled_from("abcdefgh")
CREDITS = st.integers(0, 60)
IDS = st.integers(0, 5)
SITES = st.sampled_from(["", "site-1", "site-2"])
HOLD = timedelta(hours=2)


@dataclass(frozen=True)
class Actor:
    """One account's world: who calls which billing."""

    billing: object
    account: str

    @property
    def tasks(self):
        return Caller.service("tasks", account_id=self.account, request_id="request-1")

    @property
    def operator(self):
        return replace(OPERATOR, account_id=self.account)

    @property
    def manager(self):
        return Caller(issuer="gateway", principal="user:m", account_id=self.account, role="admin")

    async def nth(self, table, number, *conditions):
        """The id of one of the account's rows, if there are any."""
        statement = (
            select(table.c.id)
            .where(table.c.account_id == self.account, *conditions)
            .order_by(table.c.create_time, table.c.id)
        )
        ids = await self.billing.database.read(lambda c: c.scalars(statement).all())
        return ids[number % len(ids)] if ids else "nothing"


def op(name, /, **fields):
    return st.fixed_dictionaries(fields).map(lambda drawn: (name, drawn))


OPERATIONS = st.one_of(
    op(
        "reserve",
        keys=st.lists(KEYS, min_size=1, max_size=4, unique=True),
        quantity=st.integers(0, 40),
        site=SITES,
        run=st.sampled_from(["", "run-1", "run-2"]),
        api_key=st.sampled_from([None, "", "key-1"]),
        cap=st.one_of(st.none(), st.integers(0, 60)),
        words=st.booleans(),
    ),
    op("commit", key=KEYS, used=CREDITS),
    op("void", key=KEYS),
    op("succeeded", key=KEYS, used=CREDITS, event=IDS),
    op("failed", key=KEYS, event=IDS),
    op("sweep"),
    op("sweep_periods"),
    op("sweep_grants"),
    op("open"),
    op("plan", plan=st.sampled_from(["free", "starter", "growth"])),
    op(
        "grant",
        request=IDS,
        credits=st.integers(1, 50),
        bought=st.booleans(),
        priority=st.sampled_from([0, 5, 90]),
        days=st.sampled_from([None, 1, 40]),
    ),
    op("adjust", request=IDS, credits=st.integers(-40, 20).filter(bool)),
    op("refund", request=IDS, number=IDS, credits=st.integers(0, 20)),
    op("revoke", number=IDS),
    op("price", credits=st.integers(0, 3)),
    op(
        "limit", scope=st.sampled_from(list(BudgetScope)), number=st.integers(1, 2), credits=CREDITS
    ),
    op("relimit", number=IDS, credits=CREDITS),
    op("unlimit", number=IDS),
)


async def prepare(actor, operation):
    """The call as a function of a billing, so that the very same call can be made again."""
    name, drawn = operation
    return await globals()[f"_{name}"](actor, **drawn)


async def answer(call, billing):
    """What a caller gets: the answer, or the refusal with its numbers."""
    try:
        return await call(billing)
    except Refusal as refusal:
        return refusal.reason, refusal.metadata


async def _reserve(actor, keys, quantity, site, run, api_key, cap, words):
    who = replace(actor.tasks, site_id=site)
    items = [text(key, quantity * 50) if words else picture(key, quantity) for key in keys]
    work = Work(run_id=run, api_key_id=api_key, run_cap=cap)
    return lambda billing: billing.reservations.reserve(who, items, work_for=work, ttl=HOLD)


async def _commit(actor, key, used):
    return lambda billing: billing.settlement.commit(actor.tasks, key, used, CALL)


async def _void(actor, key):
    return lambda billing: billing.settlement.void(actor.tasks, key, "why")


async def _succeeded(actor, key, used, event):
    # The id is one event's, so the same id always tells of the same key.
    heard = Heard("billing", f"{actor.account}-{key}-{event}")
    return lambda billing: billing.settlement.work_succeeded(heard, actor.tasks, key, used, CALL)


async def _failed(actor, key, event):
    heard = Heard("billing", f"{actor.account}-{key}-{event}-failed")
    return lambda billing: billing.settlement.work_failed(heard, actor.tasks, key, "why", CALL)


async def _sweep(actor):
    return lambda billing: billing.sweeper.sweep()


async def _sweep_periods(actor):
    return lambda billing: billing.sweeper.sweep_periods()


async def _sweep_grants(actor):
    return lambda billing: billing.sweeper.sweep_grants()


async def _open(actor):
    return lambda billing: billing.accounts.open(actor.tasks)


async def _plan(actor, plan):
    return lambda billing: billing.plans.change(actor.operator, plan)


async def _grant(actor, request, credits, bought, priority, days):  # noqa: A002
    kind = TransactionType.PURCHASE if bought else TransactionType.ADJUSTMENT
    expire_time = None if days is None else clock.now() + timedelta(days=days)
    asked = Request(f"{request}", "why")
    return lambda billing: billing.grants.create(
        actor.operator, asked, kind, credits, priority=priority, expire_time=expire_time
    )


async def _adjust(actor, request, credits):  # noqa: A002
    asked = Request(f"{request}", "why")
    return lambda billing: billing.corrections.adjust(actor.operator, asked, credits)


async def _refund(actor, request, number, credits):  # noqa: A002
    table = schema.ledger_transactions
    deduction = await actor.nth(table, number, table.c.transaction_type == "deduction")
    asked = Request(f"{request}", "why")
    return lambda billing: billing.corrections.refund(actor.operator, asked, deduction, credits)


async def _revoke(actor, number):
    grant = await actor.nth(schema.grants, number)
    return lambda billing: billing.grants.revoke(actor.operator, grant, "why")


async def _price(actor, credits):  # noqa: A002
    return lambda billing: billing.catalogue.update(
        actor.operator, Operation.IMAGE_GENERATION, "", credits, reason="why"
    )


async def _limit(actor, scope, number, credits):  # noqa: A002
    scope_id = f"{'key' if scope is BudgetScope.API_KEY else scope.value}-{number}"
    who = actor.manager
    request = budgets_pb2.CreateBudgetRequest(
        budget={"scope": scope.value, "scope_id": scope_id, "credits": credits},
        request_id=f"{scope}-{number}-{credits}",
    )
    reply = Reply(who, "CreateBudget", request, budgets_pb2.Budget, budget_to_proto)
    return lambda billing: billing.budgets.create(who, scope, scope_id, credits, reply)


async def _relimit(actor, number, credits):  # noqa: A002
    budget = await actor.nth(schema.budgets, number)
    return lambda billing: billing.budgets.update(actor.manager, budget, credits, "")


async def _unlimit(actor, number):
    budget = await actor.nth(schema.budgets, number)
    return lambda billing: billing.budgets.delete(actor.manager, budget, "")
