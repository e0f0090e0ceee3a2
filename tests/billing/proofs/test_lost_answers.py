"""The same call fifty times at once over real gRPC, and again through a proxy that loses the
answers: one effect, the same answer."""

import asyncio
import contextlib

import pytest
from support.wiring import Keys, served
from writer.billing.v1 import (
    credits_pb2,
    credits_pb2_grpc,
    grants_pb2,
    grants_pb2_grpc,
    reservations_pb2,
    reservations_pb2_grpc,
)

from chassis.caller import Caller, Signer
from chassis.client import Peer
from chassis.database import open_database
from chassis.errors import Kind, Refusal
from chassis.outbox import Outbox
from chassis.process import Host
from services.billing import schema
from services.billing.__main__ import wire
from tests.billing.conftest import Billing
from tests.billing.proofs import books
from tests.billing.proofs.dropping import dropping_proxy
from tests.billing.samples import ACCOUNT

TIMES = 50
PEERS = 5
"""Connections that the calls share; each loses its own answers."""
NAMES = ("gateway", "tasks", "billing")
CREDITS = credits_pb2_grpc.CreditServiceStub
GRANTS = grants_pb2_grpc.GrantServiceStub
RESERVATIONS = reservations_pb2_grpc.ReservationServiceStub
TASKS = Caller.service("tasks", account_id=ACCOUNT, site_id="site-1", request_id="request-1")
OPERATOR = Caller(
    issuer="gateway",
    principal="user:operator",
    account_id=ACCOUNT,
    role="developer",
    acting_for="operators",
)
GRANT = grants_pb2.CreateGrantRequest(
    transaction_type="purchase", credits=100, reason="invoice 7", request_id="grant-1"
)


def item(key):
    return reservations_pb2.ReservationItem(key=key, operation_type="image_generation", quantity=4)


CALLS = {
    "grant": (OPERATOR, GRANTS, "CreateGrant", GRANT),
    "reserve": (
        TASKS,
        RESERVATIONS,
        "ReserveCredits",
        reservations_pb2.ReserveCreditsRequest(items=[item("a"), item("b")], run_id="run-1"),
    ),
    "commit": (
        TASKS,
        RESERVATIONS,
        "CommitReservation",
        reservations_pb2.CommitReservationRequest(
            key="a", quantity=3, usage={"model": "gpt-5-mini", "prompt_tokens": 9}
        ),
    ),
    "void": (
        TASKS,
        RESERVATIONS,
        "VoidReservation",
        reservations_pb2.VoidReservationRequest(key="b", reason="given up"),
    ),
}
BALANCES = {
    "grant": (100, 100, 0, 0),
    "reserve": (100, 92, 8, 0),
    "commit": (100, 93, 4, 3),
    "void": (100, 97, 0, 3),
    "refund": (100, 99, 0, 1),
}


class Edge:
    """Billing behind a real server, seen directly and through a proxy."""

    def __init__(self, billing, direct, lossy, proxy):
        self.billing, self._direct, self._lossy, self.proxy = billing, direct, lossy, proxy

    async def many(self, call, *, lossy=False):
        """What becomes of the same call fifty times at once."""
        who, stub, method, request = call
        peers = (self._lossy if lossy else self._direct)[who.issuer]
        return await asyncio.gather(
            *(
                peer.call(getattr(peer.stub(stub), method), request, who, timeout_s=60)
                for peer in peers * (TIMES // len(peers))
            ),
            return_exceptions=True,
        )


@pytest.fixture
async def edge(database_url, tmp_path):
    keys = Keys(tmp_path / "keys", NAMES)
    database = open_database(database_url)
    host = Host(
        settings=keys.settings("billing", {}),
        database=database,
        outbox=Outbox("billing"),
        signer=Signer("billing", keys.signing["billing"]),
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        address = await stack.enter_async_context(served(wire(host).servicers, "billing", keys))
        proxy = await stack.enter_async_context(dropping_proxy(address))

        def peers(at, name):
            opened = [
                # An argument of their own, or all would share one connection.
                Peer("billing", at, Signer(name, keys.signing[name]))
                for _ in range(PEERS)
            ]
            for each in opened:
                stack.push_async_callback(each.close)
            return opened

        issuers = ("gateway", "tasks")
        direct = {name: peers(address, name)[:1] for name in issuers}
        lossy = {name: peers(proxy.address, name) for name in issuers}
        yield Edge(Billing(database), direct, lossy, proxy)


async def refund_of(edge):
    """The call that gives back 2 of the 3 credits charged."""
    table = schema.ledger_transactions
    deduction = table.select().where(table.c.transaction_type == "deduction")
    row = await edge.billing.database.read(lambda c: c.execute(deduction).one())
    request = credits_pb2.RefundCreditsRequest(
        transaction_id=row.id, credits=2, reason="bad", request_id="refund-1"
    )
    return OPERATOR, CREDITS, "RefundCredits", request


async def check(edge, name):
    balance = await edge.billing.balance(TASKS)
    assert (balance.granted, balance.available, balance.reserved, balance.spent) == BALANCES[name]
    await edge.billing.database.read(lambda c: books.check(c, ACCOUNT))


async def facts(edge):
    return [type(fact).__name__ for fact in await edge.billing.facts()]


async def test_fifty_at_once_have_one_effect_and_one_answer(edge):
    for name in BALANCES:
        call = CALLS.get(name) or await refund_of(edge)
        answers = await edge.many(call)
        assert all(answer == answers[0] for answer in answers), name
        assert not isinstance(answers[0], Exception), answers[0]
        await check(edge, name)
    assert len(await facts(edge)) == len(BALANCES) + 1
    assert await edge.billing.drifts() == []


async def test_fifty_whose_answers_are_lost_have_one_effect_and_one_answer(edge):
    for name in BALANCES:
        call = CALLS.get(name) or await refund_of(edge)
        dropped, edge.proxy.drops = edge.proxy.dropped, True
        lost = await edge.many(call, lossy=True)
        assert edge.proxy.dropped > dropped, name
        assert all(isinstance(each, Refusal) and each.kind is Kind.UNAVAILABLE for each in lost)
        # The effect is there, though nobody knows of it.
        await check(edge, name)
        edge.proxy.drops = False
        answers = [*await edge.many(call, lossy=True), *await edge.many(call)]
        assert all(answer == answers[0] for answer in answers), name
        assert not isinstance(answers[0], Exception), answers[0]
        await check(edge, name)
    assert len(await facts(edge)) == len(BALANCES) + 1
    assert await edge.billing.drifts() == []
