"""Billing's use cases: one method for each call or event, one write transaction in each."""

from services.billing.service.accounts import Accounts
from services.billing.service.budgets import Budgets
from services.billing.service.calls import Heard
from services.billing.service.catalogue import Catalogue
from services.billing.service.corrections import Corrections
from services.billing.service.expiry import ExpirySweeper
from services.billing.service.grants import Grants
from services.billing.service.group_commit import GroupCommit
from services.billing.service.plans import Plans
from services.billing.service.reconciliation import Drift, Reconciliation
from services.billing.service.requests import Request
from services.billing.service.reservations import Reservations, Work
from services.billing.service.settlement import Settlement
from services.billing.service.usage import Summary, Usage

__all__ = [
    "Accounts",
    "Budgets",
    "Catalogue",
    "Corrections",
    "Drift",
    "ExpirySweeper",
    "Grants",
    "GroupCommit",
    "Heard",
    "Plans",
    "Reconciliation",
    "Request",
    "Reservations",
    "Settlement",
    "Summary",
    "Usage",
    "Work",
]
