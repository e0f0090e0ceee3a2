"""Billing over real gRPC, called by users and services with signed tokens."""

import pytest
from support.wiring import Keys, served
from writer.billing.v1 import (
    credits_pb2,
    credits_pb2_grpc,
    prices_pb2,
    prices_pb2_grpc,
    reservations_pb2,
    reservations_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)

from chassis.caller import Caller, Signer
from chassis.client import Peer
from chassis.errors import Refusal
from chassis.outbox import Outbox
from chassis.process import Host
from services.billing.__main__ import wire
from tests.billing.samples import ACCOUNT

NAMES = ("gateway", "tasks", "images", "billing")
Operation = prices_pb2.Operation


class Edge:
    """The service as its callers see it."""

    def __init__(self, address, keys):
        self._peers = {
            name: Peer("billing", address, Signer(name, keys.signing[name])) for name in NAMES
        }

    async def call(self, who, stub, method, request):
        peer = self._peers[who.issuer]
        return await peer.call(getattr(peer.stub(stub), method), request, who)

    async def refusal(self, who, stub, method, request):
        with pytest.raises(Refusal) as refused:
            await self.call(who, stub, method, request)
        return refused.value

    async def close(self):
        for peer in self._peers.values():
            await peer.close()


CREDITS = credits_pb2_grpc.CreditServiceStub
RESERVATIONS = reservations_pb2_grpc.ReservationServiceStub
USAGE = usage_pb2_grpc.UsageServiceStub
PRICES = prices_pb2_grpc.PriceServiceStub
TASKS = Caller.service("tasks", account_id=ACCOUNT, site_id="site-1", request_id="request-1")
GATEWAY = Caller.service("gateway", account_id=ACCOUNT)


def user(role):
    return Caller(issuer="gateway", principal="user:1", account_id=ACCOUNT, role=role)


def reserve(*keys, **fields):
    return reservations_pb2.ReserveCreditsRequest(
        items=[
            reservations_pb2.ReservationItem(
                key=key, operation_type=Operation.content_generation, quantity=1000
            )
            for key in keys
        ],
        **fields,
    )


@pytest.fixture
async def edge(make_database, tmp_path):
    keys = Keys(tmp_path / "keys", NAMES)
    host = Host(
        settings=keys.settings("billing", {}),
        database=await make_database("services.billing"),
        outbox=Outbox("billing"),
        signer=Signer("billing", keys.signing["billing"]),
    )
    async with served(wire(host).servicers, "billing", keys) as address:
        edge = Edge(address, keys)
        yield edge
        await edge.close()


async def test_from_opening_to_usage_over_the_wire(edge):
    opened = await edge.call(GATEWAY, CREDITS, "OpenAccount", credits_pb2.OpenAccountRequest())
    assert (opened.plan, opened.granted, opened.available) == ("free", 100, 100)
    assert opened.period_end_time.seconds > opened.period_start_time.seconds
    made = await edge.call(
        TASKS, RESERVATIONS, "ReserveCredits", reserve("a", "b", run_id="run-1", ttl_s=60)
    )
    first = made.reservations[0]
    assert first.state == reservations_pb2.Reservation.State.open
    assert (first.credits_reserved, first.run_id) == (10, "run-1")
    assert first.expire_time.seconds - first.create_time.seconds == 60
    settled = await edge.call(
        TASKS,
        RESERVATIONS,
        "CommitReservation",
        reservations_pb2.CommitReservationRequest(
            key="a", quantity=640, usage={"model": "gpt-5-mini", "prompt_tokens": 9}
        ),
    )
    assert settled.state == reservations_pb2.Reservation.State.committed
    assert settled.credits_charged == 7
    voided = await edge.call(
        TASKS, RESERVATIONS, "VoidReservation", reservations_pb2.VoidReservationRequest(key="b")
    )
    got = await edge.call(
        TASKS, RESERVATIONS, "GetReservation", reservations_pb2.GetReservationRequest(key="b")
    )
    assert got == voided
    balance = await edge.call(
        user("viewer"), CREDITS, "GetBalance", credits_pb2.GetBalanceRequest()
    )
    assert (balance.available, balance.reserved, balance.spent) == (93, 0, 7)
    listed = await edge.call(
        user("editor"), CREDITS, "ListTransactions", credits_pb2.ListTransactionsRequest()
    )
    assert [each.amount for each in listed.transactions] == [-7, 100]
    deduction = listed.transactions[0]
    assert deduction.transaction_type == credits_pb2.CreditTransaction.Type.deduction
    assert deduction.reservation_id == first.id
    usage = await edge.call(user("editor"), USAGE, "ListUsage", usage_pb2.ListUsageRequest())
    [record] = usage.usage
    assert (record.credits, record.model, record.prompt_tokens) == (7, "gpt-5-mini", 9)
    assert record.transaction_id == deduction.id
    assert not record.HasField("provider_cost_micro_usd")


async def test_roles_and_services_may_do_what_the_contract_says(edge):
    lists = credits_pb2.ListTransactionsRequest()
    refusal = await edge.refusal(user("viewer"), CREDITS, "ListTransactions", lists)
    assert refusal.reason == "ROLE_FORBIDDEN"
    for who in (user("owner"), user("developer"), Caller.service("gateway", account_id=ACCOUNT)):
        refusal = await edge.refusal(who, RESERVATIONS, "ReserveCredits", reserve("a"))
        assert refusal.reason == "ROLE_FORBIDDEN"
    opening = credits_pb2.OpenAccountRequest()
    for who in (user("owner"), TASKS):
        refusal = await edge.refusal(who, CREDITS, "OpenAccount", opening)
        assert refusal.reason == "ROLE_FORBIDDEN"


async def test_too_few_credits_travel_with_their_numbers(edge):
    refusal = await edge.refusal(TASKS, RESERVATIONS, "ReserveCredits", reserve("a", "b"))
    assert (refusal.kind, refusal.reason) == ("FAILED_PRECONDITION", "INSUFFICIENT_CREDITS")
    assert refusal.metadata == {
        "required": "20",
        "available": "0",
        "limit": "account",
        "limit_id": ACCOUNT,
    }


@pytest.mark.parametrize(
    ("request_", "field", "reason"),
    [
        (reserve(), "items", "INVALID_FIELDS"),
        (reserve(*(str(n) for n in range(101))), "items", "TOO_MANY_ITEMS"),
        (reserve("a", "a"), "items[1].key", "INVALID_FIELDS"),
        (reserve("a", ttl_s=59), "ttl_s", "INVALID_FIELDS"),
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_bad_requests_are_refused_by_field(edge, request_, field, reason):
    refusal = await edge.refusal(TASKS, RESERVATIONS, "ReserveCredits", request_)
    assert refusal.reason == reason
    assert [violation.field for violation in refusal.violations] == [field]


async def test_viewers_may_ask_for_quotes_prices_and_plans(edge):
    quote = await edge.call(
        user("viewer"),
        RESERVATIONS,
        "QuoteCredits",
        reservations_pb2.QuoteCreditsRequest(
            items=[
                {"key": "a", "operation_type": Operation.image_generation, "quantity": 3},
                {
                    "key": "b",
                    "operation_type": Operation.image_generation,
                    "quantity": 1,
                    "variant": "premium",
                },
            ]
        ),
    )
    assert (quote.credits, quote.available) == (7, 0)
    assert [(each.credits, each.variant) for each in quote.items] == [
        (3, "standard"),
        (4, "premium"),
    ]
    costs = await edge.call(user("viewer"), PRICES, "ListCosts", prices_pb2.ListCostsRequest())
    assert costs.total_size == len(costs.costs) == 8
    plans = await edge.call(user("viewer"), PRICES, "ListPlans", prices_pb2.ListPlansRequest())
    assert plans.plans[0] == prices_pb2.Plan(name="free", credits=100)
