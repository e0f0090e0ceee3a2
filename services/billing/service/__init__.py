"""Billing's use cases: one method for each call or event, one write transaction in each."""

from services.billing.service.accounts import Accounts
from services.billing.service.catalogue import Catalogue
from services.billing.service.expiry import ExpirySweeper
from services.billing.service.reconciliation import Drift, Reconciliation
from services.billing.service.reservations import Reservations
from services.billing.service.settlement import Heard, Settlement

__all__ = [
    "Accounts",
    "Catalogue",
    "Drift",
    "ExpirySweeper",
    "Heard",
    "Reconciliation",
    "Reservations",
    "Settlement",
]
