"""Billing's gRPC edge: parses, calls the use case, maps. Decides nothing."""

from services.billing.servicer.budgets import BudgetServicer
from services.billing.servicer.credits import CreditServicer
from services.billing.servicer.grants import GrantServicer
from services.billing.servicer.prices import PriceServicer
from services.billing.servicer.reservations import ReservationServicer
from services.billing.servicer.usage import UsageServicer

__all__ = [
    "BudgetServicer",
    "CreditServicer",
    "GrantServicer",
    "PriceServicer",
    "ReservationServicer",
    "UsageServicer",
]
