"""Between billing's domain and its messages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Row
from writer.billing.v1 import (
    budgets_pb2,
    credits_pb2,
    grants_pb2,
    prices_pb2,
    reservations_pb2,
    usage_pb2,
)

from chassis.errors import InvalidFields, Violation
from chassis.etags import etag_of
from chassis.times import to_timestamp
from services.billing.domain import (
    Account,
    AiCall,
    Budget,
    BudgetScope,
    Grant,
    Item,
    Operation,
    Plan,
    Price,
    PricedItem,
    Quote,
    Reservation,
    Share,
    TransactionType,
    Unit,
    UsageDimension,
)

_Operation = prices_pb2.Operation.Type
_YEARS = (2000, 2200)
"""Times outside are mistakes, and calculating with them would fail."""


def time_from_proto(request: Message, field: str) -> datetime | None:
    """A time of a request, or None when it was not given. Raises InvalidFields."""
    if not request.HasField(field):
        return None
    stamp = getattr(request, field)
    try:
        moment: datetime = stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidFields(Violation(field, "is not a time")) from error
    if not _YEARS[0] <= moment.year < _YEARS[1]:
        raise InvalidFields(Violation(field, f"must be from {_YEARS[0]} to {_YEARS[1]}"))
    return moment


def operation_to_proto(operation: str) -> prices_pb2.Operation.Type.ValueType:
    """The contract spells operations as the domain does."""
    return _Operation.Value(operation)


def operation_to_optional(operation: str | None) -> prices_pb2.Operation.Type.ValueType | None:
    """None leaves the field out."""
    return operation_to_proto(operation) if operation else None


def operation_from_proto(value: prices_pb2.Operation.Type.ValueType) -> Operation | None:
    """None when the field was not given."""
    return Operation(_Operation.Name(value)) if value else None


def transaction_type_from_proto(
    value: credits_pb2.CreditTransaction.Type.ValueType,
) -> TransactionType | None:
    """None when the field was not given."""
    return TransactionType(credits_pb2.CreditTransaction.Type.Name(value)) if value else None


def account_to_proto(account: Account) -> credits_pb2.Balance:
    """Balance, plan and period."""
    balance, subscription = account.balance, account.subscription
    return credits_pb2.Balance(
        granted=balance.granted,
        available=balance.available,
        reserved=balance.reserved,
        spent=balance.spent,
        plan=subscription.plan if subscription else "",
        period_start_time=to_timestamp(subscription.period_start_time if subscription else None),
        period_end_time=to_timestamp(subscription.period_end_time if subscription else None),
        next_plan=subscription.next_plan if subscription else "",
    )


def transaction_to_proto(
    row: Row[Any], shares: Sequence[Share] = ()
) -> credits_pb2.CreditTransaction:
    """A listed row of the ledger, and where one is asked for its effect on each grant."""
    return credits_pb2.CreditTransaction(
        id=row.id,
        transaction_type=credits_pb2.CreditTransaction.Type.Value(row.transaction_type),
        amount=row.amount,
        description=row.description,
        operation_type=operation_to_optional(row.operation),
        reservation_id=row.reservation_id or "",
        corrected_transaction_id=row.corrected_transaction_id or "",
        site_id=row.site_id,
        run_id=row.run_id,
        create_time=to_timestamp(row.create_time),
        reason=row.reason,
        actor=row.principal,
        grants=[
            credits_pb2.GrantShare(grant_id=share.grant_id, credits=share.credits)
            for share in shares
        ],
    )


def grant_to_proto(grant: Grant) -> grants_pb2.Grant:
    """A grant as it stands."""
    return grants_pb2.Grant(
        id=grant.id,
        transaction_type=credits_pb2.CreditTransaction.Type.Value(grant.transaction_type),
        credits=grant.credits,
        available=grant.available,
        priority=grant.priority,
        expire_time=to_timestamp(grant.expire_time),
        revoke_time=to_timestamp(grant.revoke_time),
        reason=grant.reason,
        actor=grant.principal,
        transaction_id=grant.transaction_id,
        create_time=to_timestamp(grant.create_time),
        revoke_reason=grant.revoke_reason,
        revoke_actor=grant.revoke_principal,
    )


def scope_from_proto(value: budgets_pb2.Budget.Scope.ValueType) -> BudgetScope | None:
    """None when the field was not given."""
    return BudgetScope(budgets_pb2.Budget.Scope.Name(value)) if value else None


def budget_to_proto(budget: Budget) -> budgets_pb2.Budget:
    """A budget and what is used of it."""
    return budgets_pb2.Budget(
        id=budget.id,
        etag=etag_of(budget.revision, budget.guarded),
        scope=budgets_pb2.Budget.Scope.Value(budget.scope),
        scope_id=budget.scope_id,
        credits=budget.credits,
        used=budget.used,
        create_time=to_timestamp(budget.create_time),
        update_time=to_timestamp(budget.update_time),
    )


def dimension_from_proto(value: usage_pb2.UsageDimension.Value.ValueType) -> UsageDimension:
    """The contract spells dimensions as the domain does."""
    return UsageDimension(usage_pb2.UsageDimension.Value.Name(value))


def usage_sum_to_proto(row: Row[Any]) -> usage_pb2.UsageSum:
    """Sums, with the dimensions that the row has."""
    found = row._mapping
    return usage_pb2.UsageSum(
        day=found.get("day", ""),
        site_id=found.get("site", ""),
        operation_type=operation_to_optional(found.get("operation")),
        model=found.get("model", ""),
        credits=int(row.credits),
        calls=row.calls,
        prompt_tokens=float(row.prompt_tokens),
        completion_tokens=float(row.completion_tokens),
        provider_cost_micro_usd=float(row.provider_cost_micro_usd),
    )


def usage_to_proto(row: Row[Any]) -> usage_pb2.UsageRecord:
    """A listed row of usage."""
    return usage_pb2.UsageRecord(
        id=row.id,
        operation_type=operation_to_proto(row.operation),
        credits=row.credits,
        model=row.model,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        provider_cost_micro_usd=row.provider_cost_micro_usd,
        object_id=row.object_id,
        transaction_id=row.transaction_id or "",
        site_id=row.site_id,
        run_id=row.run_id,
        request_id=row.request_id,
        create_time=to_timestamp(row.create_time),
        api_key_id=row.api_key_id,
    )


def items_from_proto(items: Sequence[reservations_pb2.ReservationItem]) -> list[Item]:
    """What is to be quoted or reserved; the contract has checked each field."""
    return [
        Item(
            key=item.key,
            operation=Operation(_Operation.Name(item.operation_type)),
            quantity=item.quantity,
            variant=item.variant,
        )
        for item in items
    ]


def call_from_proto(usage: reservations_pb2.UsageDetail) -> AiCall:
    """The AI call behind a charge; empty when the field was not given."""
    return AiCall(
        model=usage.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        object_id=usage.object_id,
        provider_cost_micro_usd=(
            usage.provider_cost_micro_usd if usage.HasField("provider_cost_micro_usd") else None
        ),
    )


def reservation_to_proto(reservation: Reservation) -> reservations_pb2.Reservation:
    """A reservation as it stands."""
    return reservations_pb2.Reservation(
        id=reservation.id,
        key=reservation.key,
        state=reservations_pb2.Reservation.State.Value(reservation.state),
        operation_type=operation_to_proto(reservation.operation),
        variant=reservation.variant,
        quantity=reservation.quantity,
        credits_reserved=reservation.credits_reserved,
        credits_charged=reservation.credits_charged,
        price_version=reservation.price_version,
        run_id=reservation.run_id,
        api_key_id=reservation.api_key_id,
        expire_time=to_timestamp(reservation.expire_time),
        create_time=to_timestamp(reservation.create_time),
        settle_time=to_timestamp(reservation.settle_time),
    )


def quote_to_proto(quote: Quote) -> reservations_pb2.Quote:
    """A quote with its items in order."""
    return reservations_pb2.Quote(
        credits=quote.credits,
        available=quote.available,
        items=[_quoted_item_to_proto(priced) for priced in quote.items],
    )


def price_to_proto(price: Price) -> prices_pb2.CreditCost:
    """One version of a price."""
    return prices_pb2.CreditCost(
        operation_type=operation_to_proto(price.operation),
        variant=price.variant,
        unit=prices_pb2.CreditCost.Unit.Value(price.unit),
        credits=price.credits,
        version=price.version,
        create_time=to_timestamp(price.create_time),
        etag=etag_of(price.version, price.guarded),
        reason=price.reason,
    )


def unit_from_proto(value: prices_pb2.CreditCost.Unit.ValueType) -> Unit | None:
    """None when the field was not given."""
    return Unit(prices_pb2.CreditCost.Unit.Name(value)) if value else None


def plan_to_proto(plan: Plan) -> prices_pb2.Plan:
    """One plan."""
    return prices_pb2.Plan(name=plan.name, credits=plan.credits)


def _quoted_item_to_proto(priced: PricedItem) -> reservations_pb2.QuotedItem:
    return reservations_pb2.QuotedItem(
        key=priced.item.key,
        operation_type=operation_to_proto(priced.item.operation),
        quantity=priced.item.quantity,
        credits=priced.credits,
        price_version=priced.price.version,
        variant=priced.price.variant,
    )
