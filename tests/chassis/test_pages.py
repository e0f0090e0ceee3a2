"""Lists by page on both databases: every row once, and no token that does not belong."""

import base64
import json
import random
import zlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select
from sqlalchemy.dialects import postgresql
from writer.tasks.v1 import runs_pb2, tasks_pb2

from chassis import pages
from chassis.columns import UtcDateTime
from chassis.errors import InvalidFields, PageTokenInvalid
from chassis.pages import PageQuery, paginate

START = datetime(2025, 1, 1, tzinfo=UTC)
MIXED_CASE = ["apple", "Äpfel", "Banana", "banana", "Zebra", "_", "éclair", "日本", "😀"]

rows = Table(
    "rows",
    MetaData(),
    Column("id", String(36), primary_key=True),
    Column("title", String(500), nullable=False),
    Column("position", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
)
SORTABLE = {"title": rows.c.title, "position": rows.c.position, "created_at": rows.c.create_time}


def ask(**fields):
    return PageQuery.of(tasks_pb2.ListTasksRequest(**fields))


def row(number, title="same", position=0, create_time=START):
    return {
        "id": f"{number:04}",
        "title": title,
        "position": position,
        "create_time": create_time,
    }


@pytest.fixture
async def fill(database):
    """Makes the table and fills it with the rows that a test is about."""
    await database.write(lambda c: rows.metadata.create_all(c))

    async def fill(values):
        await database.write(lambda c: c.execute(insert(rows), list(values)))

    return fill


@pytest.fixture
def page(database):
    async def page(query):
        return await database.read(
            lambda c: paginate(
                c, select(rows), query, sortable=SORTABLE, default="-created_at", tie=rows.c.id
            )
        )

    return page


@pytest.fixture
def walk(page):
    """All ids, by tokens; `between` runs after every page."""

    async def walk(between=None, **fields):
        found, token = [], ""
        for _ in range(200):
            answer = await page(ask(page_token=token, **fields))
            found += [row.id for row in answer.rows]
            token = answer.next_token
            if not token:
                return found
            if between:
                await between(len(found))
        raise AssertionError("the list does not end")

    return walk


async def test_a_walk_visits_each_row_once_though_most_are_ties(fill, walk):
    await fill(
        row(n, "abc"[n % 3], n % 2, START + timedelta(milliseconds=n % 4)) for n in range(30)
    )
    for order_by in ("title", "-title", "position", "-position", "created_at", ""):
        for page_size in (1, 7, 30, 100):
            found = await walk(order_by=order_by, page_size=page_size)
            assert sorted(found) == [f"{n:04}" for n in range(30)], (order_by, page_size)


@pytest.mark.parametrize("order_by", ["title", "-title"])
async def test_rows_inserted_meanwhile_neither_repeat_nor_hide_what_was_there(fill, walk, order_by):
    await fill(row(n, "middle") for n in range(100, 130))

    async def between(count):
        await fill([row(1000 + count, "a"), row(2000 + count, "z"), row(count, "middle")])

    found = await walk(between, order_by=order_by, page_size=5)
    there = [each for each in found if "0100" <= each < "0130"]
    assert there == sorted((f"{n:04}" for n in range(100, 130)), reverse=order_by[0] == "-")
    assert len(found) == len(set(found))


async def test_texts_come_in_the_same_order_on_every_database(fill, walk):
    await fill(row(n, title) for n, title in enumerate(MIXED_CASE))
    expected = [f"{MIXED_CASE.index(title):04}" for title in sorted(MIXED_CASE)]
    assert await walk(order_by="title", page_size=2) == expected
    assert await walk(order_by="-title", page_size=2) == expected[::-1]


def test_postgresql_is_told_the_order_whatever_its_collation():
    ordered = pages._by_code_point("postgresql", rows.c.title)
    assert 'COLLATE "C"' in str(ordered.compile(dialect=postgresql.dialect()))


async def test_a_title_of_any_length_and_script_makes_a_token_that_comes_back(fill, walk):
    titles = [letter * 490 for letter in ("ä", "日", "😀", "\x01", '"')]
    await fill(row(n, title) for n, title in enumerate(titles))
    assert len(await walk(order_by="title", page_size=1)) == len(titles)


def test_the_token_of_the_longest_title_fits_into_its_field():
    letters = random.Random(1)
    blocks = [(0x4E00, 0x9FFF), (0x20000, 0x2A6DF), (0x1F300, 0x1FAFF), (0, 0x1F), (0x20, 0x7E)]
    for first, last in blocks:
        title = "".join(chr(letters.randint(first, last)) for _ in range(500))
        row = SimpleNamespace(_mapping={"title": title, "id": "i" * 36})
        token = pages._write_token(ask(order_by="title"), row, rows.c.title, rows.c.id)
        assert len(token) <= 2048, (hex(first), len(token))


async def test_a_page_agrees_with_its_total(fill, page):
    await fill(row(n) for n in range(45))
    first = await page(ask())
    assert (len(first.rows), first.total_size) == (20, 45)
    last = await page(ask(page_token=(await page(ask(page_size=40))).next_token, page_size=40))
    assert (len(last.rows), last.total_size, last.next_token) == (5, 45, "")


async def test_page_numbers_leave_out_what_came_before(fill, page):
    await fill(row(n) for n in range(5))
    for skip, ids in [(0, ["0000", "0001"]), (2, ["0002", "0003"]), (4, ["0004"]), (9, [])]:
        answer = await page(ask(skip=skip, page_size=2, order_by="title"))
        assert [row.id for row in answer.rows] == ids
        assert answer.total_size == 5


async def test_a_token_is_not_skipped_from(fill, page):
    await fill(row(n) for n in range(5))
    token = (await page(ask(page_size=2, order_by="title"))).next_token
    answer = await page(ask(page_size=2, order_by="title", page_token=token, skip=2))
    assert [row.id for row in answer.rows] == ["0002", "0003"]


async def test_the_size_of_the_page_may_change_on_the_way(fill, page):
    await fill(row(n) for n in range(5))
    token = (await page(ask(page_size=1, order_by="title"))).next_token
    answer = await page(ask(page_size=4, order_by="title", page_token=token))
    assert len(answer.rows) == 4


def test_a_page_has_its_bounds():
    assert ask().size == 20
    assert ask(page_size=101).size == 100


@pytest.mark.parametrize("order_by", ["-", "--title", "titles", "id; drop", "title,position", " "])
def test_an_unknown_order_is_a_field_at_fault(order_by):
    with pytest.raises(InvalidFields) as caught:
        pages._order(order_by, SORTABLE)
    assert [v.field for v in caught.value.violations] == ["order_by"]


async def test_a_token_of_other_filters_or_another_order_is_refused(fill, page):
    await fill(row(n) for n in range(5))
    token = (await page(ask(order_by="title", page_size=2))).next_token
    for other in (
        {"order_by": "-title"},
        {"order_by": ""},
        {"order_by": "title", "search": "x"},
        {"order_by": "title", "status": 1},
    ):
        with pytest.raises(PageTokenInvalid):
            await page(ask(page_token=token, page_size=2, **other))


def sealed(order_by, value, last="x"):
    """A token with the right seal around anything: the seal is no secret."""
    seal = pages._seal(ask(order_by=order_by), [value, last])
    return packed(json.dumps([seal, value, last]))


def packed(document):
    return base64.urlsafe_b64encode(zlib.compress(document.encode())).rstrip(b"=").decode()


def read(token, order_by="title"):
    return pages._read_token(ask(order_by=order_by, page_token=token), SORTABLE[order_by])


def test_a_token_tells_where_the_page_before_ended():
    assert read(sealed("title", "Ä", "id")) == ("Ä", "id")
    assert read(sealed("position", 7), "position") == (7, "x")
    assert read(sealed("created_at", START.isoformat()), "created_at") == (START, "x")


def test_a_token_with_any_letter_changed_is_refused():
    token = sealed("title", "title", "0001")
    for place in range(len(token)):
        for letter in ("A", "B", "-", "!", "", "é", " "):
            damaged = token[:place] + letter + token[place + 1 :]
            if damaged not in (token, token + "="):
                with pytest.raises(PageTokenInvalid):
                    read(damaged)


@pytest.mark.parametrize(
    ("order_by", "value", "last"),
    [
        ("title", 5, "x"),
        ("title", None, "x"),
        ("title", "nul\0", "x"),
        ("title", "x", "nul\0"),
        ("title", "\ud800", "x"),
        ("title", "x", 7),
        ("title", ["x"], "x"),
        ("position", "5", "x"),
        ("position", 2**31, "x"),
        ("position", 2**70, "x"),
        ("position", True, "x"),
        ("position", 1.5, "x"),
        ("created_at", 5, "x"),
        ("created_at", "yesterday", "x"),
        ("created_at", "0001-01-01T00:00:00+23:00", "x"),
    ],
)
def test_a_value_of_another_type_never_reaches_the_database(order_by, value, last):
    with pytest.raises(PageTokenInvalid):
        read(sealed(order_by, value, last), order_by)


@pytest.mark.parametrize(
    "document", ["[" * 4000, "[1]", "{}", "null", "x" * 100_000, '["a","b","c","d"]', "9" * 5000]
)
def test_a_packed_oddity_is_refused(document):
    with pytest.raises(PageTokenInvalid):
        read(packed(document))


@given(st.text(max_size=100))
@settings(max_examples=50, deadline=None)
def test_no_text_does_anything_but_be_refused(text):
    with pytest.raises(PageTokenInvalid):
        read(text.encode(errors="replace").decode())


def test_every_list_has_a_fingerprint_of_its_own():
    tasks = PageQuery.of(tasks_pb2.ListTasksRequest(status=1)).fingerprint
    assert tasks != PageQuery.of(runs_pb2.ListRunsRequest()).fingerprint
