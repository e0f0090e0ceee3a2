"""Billing over real gRPC, called by users and services with signed tokens."""

import pytest
from support.wiring import Keys, served
from writer.billing.v1 import (
    budgets_pb2,
    budgets_pb2_grpc,
    credits_pb2,
    credits_pb2_grpc,
    grants_pb2,
    grants_pb2_grpc,
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
GRANTS = grants_pb2_grpc.GrantServiceStub
BUDGETS = budgets_pb2_grpc.BudgetServiceStub
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
    assert deduction.HasField("operation_type")
    assert not listed.transactions[1].HasField("operation_type")
    usage = await edge.call(user("editor"), USAGE, "ListUsage", usage_pb2.ListUsageRequest())
    [record] = usage.usage
    assert (record.credits, record.model, record.prompt_tokens) == (7, "gpt-5-mini", 9)
    assert record.transaction_id == deduction.id
    assert not record.HasField("provider_cost_micro_usd")


@pytest.mark.parametrize("dialect", ["sqlite"])
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


@pytest.mark.parametrize("dialect", ["sqlite"])
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


@pytest.mark.parametrize("dialect", ["sqlite"])
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


def granting(**fields):
    return grants_pb2.CreateGrantRequest(
        **{
            "transaction_type": credits_pb2.CreditTransaction.Type.purchase,
            "credits": 500,
            "reason": "invoice 7",
            "request_id": "grant-1",
            **fields,
        }
    )


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_an_operator_puts_credits_right_over_the_wire(edge):
    await edge.call(GATEWAY, CREDITS, "OpenAccount", credits_pb2.OpenAccountRequest())
    operator = user("developer")
    grant = await edge.call(operator, GRANTS, "CreateGrant", granting())
    assert (grant.credits, grant.available, grant.priority) == (500, 500, 50)
    assert not grant.HasField("expire_time")
    assert await edge.call(operator, GRANTS, "CreateGrant", granting()) == grant
    listed = await edge.call(user("owner"), GRANTS, "ListGrants", grants_pb2.ListGrantsRequest())
    assert (listed.total_size, listed.grants[0]) == (2, grant)
    await edge.call(TASKS, RESERVATIONS, "ReserveCredits", reserve("a"))
    commit = reservations_pb2.CommitReservationRequest(key="a", quantity=1000)
    await edge.call(TASKS, RESERVATIONS, "CommitReservation", commit)
    lists = credits_pb2.ListTransactionsRequest(transaction_type="deduction")
    [deduction] = (await edge.call(operator, CREDITS, "ListTransactions", lists)).transactions
    refund = credits_pb2.RefundCreditsRequest(
        transaction_id=deduction.id, credits=4, reason="it was bad", request_id="refund-1"
    )
    refunded = await edge.call(operator, CREDITS, "RefundCredits", refund)
    assert (refunded.amount, refunded.corrected_transaction_id) == (4, deduction.id)
    assert await edge.call(operator, CREDITS, "RefundCredits", refund) == refunded
    refund.request_id, refund.credits = "refund-2", 7
    refusal = await edge.refusal(operator, CREDITS, "RefundCredits", refund)
    assert (refusal.reason, refusal.metadata["available"]) == ("REFUND_EXCEEDS_CHARGE", "6")
    adjust = credits_pb2.AdjustCreditsRequest(credits=-4, reason="typing error", request_id="a")
    adjusted = await edge.call(operator, CREDITS, "AdjustCredits", adjust)
    assert (adjusted.amount, adjusted.reason, adjusted.actor) == (-4, "typing error", "user:1")
    one = credits_pb2.GetTransactionRequest(id=adjusted.id)
    [share] = (await edge.call(user("editor"), CREDITS, "GetTransaction", one)).grants
    assert share.credits == -4
    revoke = grants_pb2.RevokeGrantRequest(id=grant.id, reason="charged back")
    revoked = await edge.call(operator, GRANTS, "RevokeGrant", revoke)
    assert revoked.HasField("revoke_time")
    balance = await edge.call(operator, CREDITS, "GetBalance", credits_pb2.GetBalanceRequest())
    assert (balance.granted, balance.available, balance.spent) == (96, 90, 6)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_manager_sets_ceilings_and_changes_the_plan_over_the_wire(edge):
    await edge.call(GATEWAY, CREDITS, "OpenAccount", credits_pb2.OpenAccountRequest())
    owner = user("owner")
    made = budgets_pb2.CreateBudgetRequest(
        budget={"scope": "api_key", "scope_id": "key-1", "credits": 15}
    )
    budget = await edge.call(owner, BUDGETS, "CreateBudget", made)
    by_key = reserve("a", "b", api_key_id="key-1", run_id="run-1", run_cap=50)
    refusal = await edge.refusal(TASKS, RESERVATIONS, "ReserveCredits", by_key)
    assert refusal.metadata == {
        "required": "20",
        "available": "15",
        "limit": "api_key",
        "limit_id": "key-1",
    }
    more = budgets_pb2.UpdateBudgetRequest(id=budget.id, credits=20, etag=budget.etag)
    await edge.call(owner, BUDGETS, "UpdateBudget", more)
    await edge.call(TASKS, RESERVATIONS, "ReserveCredits", by_key)
    listed = await edge.call(owner, BUDGETS, "ListBudgets", budgets_pb2.ListBudgetsRequest())
    assert {(each.scope_id, each.used, each.credits) for each in listed.budgets} == {
        ("key-1", 20, 20),
        ("run-1", 20, 50),
    }
    got = await edge.call(owner, BUDGETS, "GetBudget", budgets_pb2.GetBudgetRequest(id=budget.id))
    assert (got.etag, got.used) == ("2", 20)
    refusal = await edge.refusal(owner, BUDGETS, "UpdateBudget", more)
    assert refusal.reason == "ETAG_MISMATCH"
    more.update_mask.paths.append("scope")
    refusal = await edge.refusal(owner, BUDGETS, "UpdateBudget", more)
    assert [violation.field for violation in refusal.violations] == ["update_mask"]
    await edge.call(owner, BUDGETS, "DeleteBudget", budgets_pb2.DeleteBudgetRequest(id=budget.id))
    change = credits_pb2.ChangePlanRequest(plan="starter")
    balance = await edge.call(owner, CREDITS, "ChangePlan", change)
    assert (balance.plan, balance.next_plan, balance.available) == ("starter", "", 980)
    change.plan = "free"
    balance = await edge.call(owner, CREDITS, "ChangePlan", change)
    assert (balance.plan, balance.next_plan, balance.available) == ("starter", "free", 980)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_prices_are_changed_and_usage_is_summed_over_the_wire(edge):
    await edge.call(GATEWAY, CREDITS, "OpenAccount", credits_pb2.OpenAccountRequest())
    change = prices_pb2.UpdateCostRequest(
        operation_type="content_generation", credits=0, reason="a gift", etag="1"
    )
    price = await edge.call(user("developer"), PRICES, "UpdateCost", change)
    assert (price.version, price.etag, price.credits, price.reason) == (2, "2", 0, "a gift")
    change.update_mask.paths.append("unit")
    change.etag, change.credits = "", 9
    assert await edge.call(user("developer"), PRICES, "UpdateCost", change) == price
    versions = prices_pb2.ListCostVersionsRequest(operation_type="content_generation")
    listed = await edge.call(user("owner"), PRICES, "ListCostVersions", versions)
    assert [each.version for each in listed.costs] == [2, 1]
    await edge.call(TASKS, RESERVATIONS, "ReserveCredits", reserve("a"))
    usage = {"model": "gpt-5-mini", "prompt_tokens": 9, "provider_cost_micro_usd": 12}
    commit = reservations_pb2.CommitReservationRequest(key="a", quantity=640, usage=usage)
    settled = await edge.call(TASKS, RESERVATIONS, "CommitReservation", commit)
    assert settled.credits_charged == 0
    asked = usage_pb2.SummarizeUsageRequest(group_by=["model", "operation"])
    summary = await edge.call(user("editor"), USAGE, "SummarizeUsage", asked)
    [row] = summary.rows
    assert (row.model, row.operation_type) == ("gpt-5-mini", Operation.content_generation)
    assert (row.calls, row.prompt_tokens, row.provider_cost_micro_usd) == (1, 9, 12)
    assert summary.total.calls == 1
    asked.end_time.seconds = -62_135_596_800
    refusal = await edge.refusal(user("editor"), USAGE, "SummarizeUsage", asked)
    assert [violation.field for violation in refusal.violations] == ["end_time"]


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_only_operators_make_credits_and_prices_and_only_managers_set_ceilings(edge):
    for who, stub, method, request in (
        (user("owner"), GRANTS, "CreateGrant", granting()),
        (user("owner"), GRANTS, "RevokeGrant", grants_pb2.RevokeGrantRequest()),
        (user("owner"), CREDITS, "RefundCredits", credits_pb2.RefundCreditsRequest()),
        (user("owner"), CREDITS, "AdjustCredits", credits_pb2.AdjustCreditsRequest()),
        (user("owner"), PRICES, "UpdateCost", prices_pb2.UpdateCostRequest()),
        (user("editor"), GRANTS, "ListGrants", grants_pb2.ListGrantsRequest()),
        (user("editor"), BUDGETS, "CreateBudget", budgets_pb2.CreateBudgetRequest()),
        (user("editor"), CREDITS, "ChangePlan", credits_pb2.ChangePlanRequest()),
        (user("viewer"), USAGE, "SummarizeUsage", usage_pb2.SummarizeUsageRequest()),
    ):
        refusal = await edge.refusal(who, stub, method, request)
        assert refusal.reason == "ROLE_FORBIDDEN", method


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (granting(transaction_type="refund"), "transaction_type"),
        (granting(credits=0), "credits"),
        (granting(reason=""), "reason"),
        (granting(request_id=""), "request_id"),
        (granting(expire_time={"seconds": 1}), "expire_time"),
    ],
)
async def test_bad_grants_are_refused_by_field(edge, request_, field):
    refusal = await edge.refusal(user("developer"), GRANTS, "CreateGrant", request_)
    assert [violation.field for violation in refusal.violations] == [field]
