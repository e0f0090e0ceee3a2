"""All of billing's SQL.

A store is made for one connection and one tenant, and keeps every statement inside that
account. `UnitOfWork` opens the books of several accounts, each for callers of that account alone;
`Overdue`, for the sweepers, and `Audit`, for reconciling, look across accounts.
"""

from services.billing.store.accounts import AccountStore
from services.billing.store.actors import actor_of
from services.billing.store.audit import Audit, Books
from services.billing.store.balances import BalanceStore
from services.billing.store.books import AccountBooks
from services.billing.store.budgets import BudgetStore, budget_from_row
from services.billing.store.catalogue import CatalogueStore, price_from_row
from services.billing.store.grants import GrantStore, grant_from_row
from services.billing.store.ledger import LedgerStore
from services.billing.store.moment import DatabaseTime, Moment, read
from services.billing.store.overdue import Late, Overdue
from services.billing.store.reservations import get as find_reservation
from services.billing.store.unit_of_work import UnitOfWork
from services.billing.store.usage import UsageFilter, UsageStore

__all__ = [
    "AccountBooks",
    "AccountStore",
    "Audit",
    "BalanceStore",
    "Books",
    "BudgetStore",
    "CatalogueStore",
    "DatabaseTime",
    "GrantStore",
    "Late",
    "LedgerStore",
    "Moment",
    "Overdue",
    "UnitOfWork",
    "UsageFilter",
    "UsageStore",
    "actor_of",
    "budget_from_row",
    "find_reservation",
    "grant_from_row",
    "price_from_row",
    "read",
]
