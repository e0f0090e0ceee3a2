"""All of billing's SQL.

A store is made for one connection and one tenant, and keeps every statement inside that
account; only `Overdue`, for the sweeper, and `Audit`, for reconciling, look across accounts.
"""

from services.billing.store.accounts import AccountStore
from services.billing.store.audit import Audit, Books
from services.billing.store.balances import BalanceStore
from services.billing.store.catalogue import CatalogueStore
from services.billing.store.ledger import LedgerStore
from services.billing.store.overdue import Overdue
from services.billing.store.reservations import ReservationStore
from services.billing.store.usage import UsageStore

__all__ = [
    "AccountStore",
    "Audit",
    "BalanceStore",
    "Books",
    "CatalogueStore",
    "LedgerStore",
    "Overdue",
    "ReservationStore",
    "UsageStore",
]
