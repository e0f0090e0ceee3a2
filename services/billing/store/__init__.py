"""All of billing's SQL.

A store is made for one connection and one tenant, and keeps every statement inside that
account; only `Overdue`, for the sweepers, and `Audit`, for reconciling, look across accounts.
"""

from services.billing.store.accounts import AccountStore
from services.billing.store.actors import actor_of
from services.billing.store.audit import Audit, Books
from services.billing.store.balances import BalanceStore, Moved
from services.billing.store.budgets import BudgetStore, budget_from_row
from services.billing.store.catalogue import CatalogueStore, price_from_row
from services.billing.store.grants import GrantStore, grant_from_row
from services.billing.store.ledger import LedgerStore
from services.billing.store.moment import DatabaseTime, Moment, read
from services.billing.store.overdue import Overdue
from services.billing.store.reservations import ReservationStore
from services.billing.store.usage import UsageFilter, UsageStore

__all__ = [
    "AccountStore",
    "Audit",
    "BalanceStore",
    "Books",
    "BudgetStore",
    "CatalogueStore",
    "DatabaseTime",
    "GrantStore",
    "LedgerStore",
    "Moment",
    "Moved",
    "Overdue",
    "ReservationStore",
    "UsageFilter",
    "UsageStore",
    "actor_of",
    "budget_from_row",
    "grant_from_row",
    "price_from_row",
    "read",
]
