"""Which rows a caller sees, for every combination of what a caller may be bound to."""

import itertools

import pytest
from sqlalchemy import Column, MetaData, String, Table, create_engine, insert, select
from support.serving import anonymous, service, user

from chassis.tenancy import owned, visible

metadata = MetaData()
articles = Table(
    "articles",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("site_id", String(36), primary_key=True),
    Column("sector_id", String(36), primary_key=True),
)
terms = Table(
    "terms",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("site_id", String(36), primary_key=True),
)
members = Table("members", metadata, Column("account_id", String(36), primary_key=True))

ACCOUNTS, SITES, SECTORS = ("acme", "other"), ("s1", "s2"), ("t1", "t2")
ROWS = list(itertools.product(ACCOUNTS, SITES, SECTORS))
GRANTS = (None, (), ("s1",), ("s1", "s2"), ("s3",))


@pytest.fixture(scope="module")
def connection():
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection)
        names = ("account_id", "site_id", "sector_id")
        connection.execute(insert(articles), [dict(zip(names, r, strict=True)) for r in ROWS])
        pairs = itertools.product(ACCOUNTS, SITES)
        connection.execute(insert(terms), [{"account_id": a, "site_id": s} for a, s in pairs])
        connection.execute(insert(members), [{"account_id": a} for a in ACCOUNTS])
        yield connection
    engine.dispose()


def seen(connection, table, who, **options):
    statement = select(table).where(*visible(table, who, **options))
    return {tuple(row) for row in connection.execute(statement)}


@pytest.mark.parametrize("grant", GRANTS)
def test_a_caller_sees_his_account_his_choice_and_his_grants(connection, grant):
    for account, site, sector in itertools.product(ACCOUNTS, ("", *SITES, "s3"), ("", *SECTORS)):
        who = user(account, "viewer", site_id=site, sector_id=sector, allowed_sites=grant)
        expected = {
            row
            for row in ROWS
            if row[0] == account
            and site in ("", row[1])
            and sector in ("", row[2])
            and (grant is None or row[1] in grant)
        }
        assert seen(connection, articles, who) == expected, (account, site, sector)


@pytest.mark.parametrize("grant", GRANTS)
def test_rows_of_a_site_do_not_ask_for_the_sector(connection, grant):
    who = user(site_id="s1", sector_id="t1", allowed_sites=grant)
    expected = {("acme", "s1")} if grant is None or "s1" in grant else set()
    assert seen(connection, terms, who) == expected
    found = seen(connection, articles, who, by_sector=False)
    assert {row[:2] for row in found} == expected
    assert {row[2] for row in found} == (set(SECTORS) if expected else set())


def test_rows_of_an_account_are_seen_in_all_of_it(connection):
    assert seen(connection, members, user(site_id="s1", allowed_sites=())) == {("acme",)}


def test_nobody_without_an_account_sees_anything(connection):
    for who in (anonymous(), user(""), service("tasks", "")):
        for table in (articles, terms, members):
            assert seen(connection, table, who) == set()


def test_a_row_belongs_to_the_account_site_and_sector_of_who_makes_it():
    who = user(site_id="s1", sector_id="t1", acting_for="operators")
    assert owned(who) == {"account_id": "acme", "site_id": "s1", "sector_id": "t1"}
