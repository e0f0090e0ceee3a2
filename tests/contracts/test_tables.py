"""Every table says whose its rows are, and starts its keys with it."""

import importlib

from sqlalchemy import String, UniqueConstraint

from chassis.columns import UtcDateTime

PACKAGES = (
    "services.tasks",
    "services.content",
    "services.images",
    "services.billing",
    "gateway.identity",
)
TABLES = {
    f"{package}:{table.name}": table
    for package in PACKAGES
    for table in importlib.import_module(f"{package}.schema").metadata.sorted_tables
}

PLUMBING = {"outbox", "inbox", "replies", "dead_letters"}
# Of the platform, not of an account.
OF_NOBODY = {
    "services.billing:plans",
    "services.billing:prices",
    "gateway.identity:sign_in_attempts",  # who signs in is not known yet
}
# The account itself.
ROOT = "gateway.identity:accounts"
# Billing refers to its rows by an id alone: a ledger entry names one transaction, whoever
# owns it. Ids are ours, and every statement of its stores names the account as well.
KEYED_BY_ID = {
    "services.billing:reservations",
    "services.billing:ledger_transactions",
    "services.billing:ledger_entries",
    "services.billing:grants",
    "services.billing:usage_records",
}
# What is unique over all accounts, and why.
UNIQUE_OVER_ALL = {
    "gateway.identity:users": {("email",)},  # who logs in names no account
    "gateway.identity:api_keys": {("prefix",)},  # nor does a key
    "gateway.identity:retired_secrets": {("prefix",)},  # nor one that was rotated
    "gateway.identity:refresh_tokens": {("id",)},  # nor who goes on
    "gateway.identity:invitations": {("id",)},  # nor who joins
    "services.images:images": {("id",)},  # a picture's address is public and names no account
    "services.billing:usage_records": {("reservation_id",)},  # an id of ours
}
TENANT_TABLES = {
    name: table
    for name, table in TABLES.items()
    if table.name not in PLUMBING and name not in OF_NOBODY | {ROOT}
}


def unique_keys(table):
    constraints = {
        tuple(column.name for column in constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    }
    indexes = {
        tuple(column.name for column in index.columns) for index in table.indexes if index.unique
    }
    return constraints | indexes


def test_a_row_has_an_account():
    assert [name for name, t in TENANT_TABLES.items() if t.c.account_id.nullable] == []


def test_a_primary_key_starts_with_the_account():
    others = {
        name
        for name, table in TENANT_TABLES.items()
        if next(iter(table.primary_key.columns)).name != "account_id"
    }
    assert others == KEYED_BY_ID


def test_what_is_unique_is_so_within_an_account():
    over_all = {
        name: keys
        for name, table in TENANT_TABLES.items()
        if (keys := {key for key in unique_keys(table) if key[0] != "account_id"})
    }
    assert over_all == UNIQUE_OVER_ALL


def test_a_row_of_a_sector_has_its_site():
    for name, table in TENANT_TABLES.items():
        assert "site_id" in table.c or "sector_id" not in table.c, name


def test_times_are_named_as_such_and_kept_in_utc():
    for name, table in TABLES.items():
        for column in table.c:
            is_time = isinstance(column.type, UtcDateTime)
            assert column.name.endswith("_time") == is_time, (name, column.name)


def test_texts_in_keys_are_bounded():
    for name, table in TABLES.items():
        for column in table.primary_key.columns:
            assert not isinstance(column.type, String) or column.type.length, (name, column.name)
