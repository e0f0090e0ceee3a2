"""What comes back is what was stored, and is found and ordered alike on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError, StatementError

from chassis import clock
from chassis.statements import among, insert_if_absent, values_for

TITLES = [
    "Äpfel",
    "äpfel",
    "apple",
    "Apple",
    "ÉCLAIR",
    "éclair",
    "Straße",
    "日本語",
    "😀",
    "100% _a_",
]
TEXTS = [
    "",
    " ",
    "a'b\"c;--",
    "Ä" * 200,
    "e\u0301",
    "\u200b",
    "\x01\x7f",
    "\U0001d4b3😀\U0010ffff",
    "\r\n\t",
]
DOCUMENTS = [
    {},
    [],
    {"ä": [1, 2.5, True, None, "😀"], "": {"deep": [[[]]]}},
    "text",
    0,
    False,
    {"n": 2**53},
]


@pytest.fixture
def store(database, tables):
    async def store(**values):
        values = {"id": "one", "title": "one"} | values
        await database.write(lambda c: c.execute(insert(tables["things"]).values(**values)))

    return store


@pytest.fixture
def find(database, tables):
    async def find(*conditions, column="title"):
        things = tables["things"]
        found = select(things.c[column]).where(*conditions).order_by(things.c.id)
        return list(await database.read(lambda c: c.execute(found).scalars().all()))

    return find


@pytest.fixture
async def titles(store):
    for number, title in enumerate(TITLES):
        await store(id=str(number), title=title)


@pytest.mark.usefixtures("titles")
class TestFinding:
    async def test_equality_tells_cases_apart(self, find, tables):
        title = tables["things"].c.title
        for exact in TITLES:
            assert await find(title == exact) == [exact]

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("APPLE", ["apple", "Apple"]),
            ("äPF", ["Äpfel", "äpfel"]),
            ("Éclair", ["ÉCLAIR", "éclair"]),
            ("RASS", []),
            ("straß", ["Straße"]),
            ("本", ["日本語"]),
            ("😀", ["😀"]),
            ("%", ["100% _a_"]),
            ("_", ["100% _a_"]),
            ("nothing", []),
        ],
    )
    async def test_a_search_does_not_ask_for_case_in_any_script(self, find, tables, search, found):
        title = tables["things"].c.title
        assert await find(title.icontains(search, autoescape=True)) == found

    async def test_a_list_of_values_may_be_empty(self, find, tables):
        assert await find(tables["things"].c.title.in_([])) == []


class TestTexts:
    async def test_a_text_comes_back_as_it_was_stored(self, store, find):
        for number, text in enumerate(TEXTS):
            await store(id=str(number), title=text)
        assert await find() == TEXTS


class TestTimes:
    async def test_a_time_comes_back_in_utc_to_the_millisecond(self, store, find):
        zone = timezone(timedelta(hours=5, minutes=30))
        given = [
            datetime(2025, 3, 30, 1, 59, 59, 123_999, tzinfo=UTC),
            datetime(2025, 3, 30, 7, 30, 0, 1_000, tzinfo=zone),
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
            None,
        ]
        for number, moment in enumerate(given):
            await store(id=str(number), title=str(number), moment=moment)
        found = await find(column="moment")
        assert found == [
            datetime(2025, 3, 30, 1, 59, 59, 123_000, tzinfo=UTC),
            datetime(2025, 3, 30, 2, 0, 0, 1_000, tzinfo=UTC),
            *given[2:],
        ]
        assert {moment.utcoffset() for moment in found if moment} == {timedelta(0)}

    async def test_the_time_now_survives_unchanged(self, store, find):
        now = clock.now()
        await store(moment=now)
        assert await find(column="moment") == [now]

    async def test_a_time_without_a_zone_is_refused(self, store, find, tables):
        naive = datetime(2025, 1, 1)  # noqa: DTZ001  that is the point
        with pytest.raises(StatementError, match="without a zone"):
            await store(moment=naive)
        with pytest.raises(StatementError, match="without a zone"):
            await find(tables["things"].c.moment < naive)

    async def test_times_are_compared_and_ordered_as_times(self, store, database, tables):
        start = datetime(2025, 1, 1, tzinfo=UTC)
        for number, seconds in enumerate((0, 0.001, 1, 86_400)):
            moment = start + timedelta(seconds=seconds)
            await store(id=str(number), title=str(number), moment=moment)
        moment = tables["things"].c.moment
        later = datetime(2025, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
        after = select(func.count(), func.max(moment)).where(moment > later)
        count, newest = await database.read(lambda c: c.execute(after).one())
        assert (count, newest) == (3, start + timedelta(days=1))


class TestDocuments:
    async def test_a_document_comes_back_as_it_was_stored(self, store, find):
        for number, document in enumerate(DOCUMENTS):
            await store(id=str(number), title=str(number), document=document)
        assert await find(column="document") == DOCUMENTS

    async def test_a_document_can_be_looked_into(self, store, find, tables):
        await store(id="1", title="with", document={"name": "Ä", "size": 3})
        await store(id="2", title="without", document={"name": "b"})
        document = tables["things"].c.document
        assert await find(document["name"].as_string() == "Ä") == ["with"]
        assert await find(document["size"].as_integer() > 2) == ["with"]


class TestUniqueness:
    async def test_a_second_row_of_the_same_name_is_refused(self, store):
        await store(id="1", title="Name")
        await store(id="2", title="name")
        with pytest.raises(IntegrityError):
            await store(id="3", title="Name")

    async def test_insert_if_absent_says_whether_it_inserted(self, database, tables):
        def insert_one(key, title):
            return database.write(
                lambda c: insert_if_absent(c, tables["things"], id=key, title=title)
            )

        assert await insert_one("1", "Name") is True
        assert await insert_one("1", "other") is False
        assert await insert_one("2", "Name") is False
        assert await insert_one("2", "other") is True

    async def test_of_many_who_insert_at_once_one_does(self, database, tables, find):
        def work(number):
            def work(connection):
                thing = {"id": f"{number:02}", "title": "the only one"}
                return insert_if_absent(connection, tables["things"], **thing)

            return work

        outcomes = await asyncio.gather(*(database.write(work(n)) for n in range(30)))
        assert sorted(outcomes) == [False] * 29 + [True]
        assert await find() == ["the only one"]

    async def test_a_claim_that_is_rolled_back_is_free_for_the_next(self, database, tables):
        def fail(connection):
            insert_if_absent(connection, tables["things"], id="1", title="claim")
            raise LookupError

        def claim(connection):
            return insert_if_absent(connection, tables["things"], id="1", title="claim")

        outcomes = await asyncio.gather(
            database.write(fail), database.write(claim), return_exceptions=True
        )
        assert isinstance(outcomes[0], LookupError)
        assert outcomes[1] is True

    async def test_many_values_are_found_among_and_few_statements_are_made(
        self, database, dialect, tables, store
    ):
        things = tables["things"]
        for number in range(9):
            await store(id=f"{number}", title=f"title {number}")
        statement = select(things.c.id).where(among(things.c.id, "ids")).order_by(things.c.id)

        def work(wanted):
            def work(connection):
                values = values_for(connection, wanted)
                return len(values), connection.execute(statement, {"ids": values}).scalars().all()

            return work

        lengths = []
        for count in range(10):
            wanted = [f"{number}" for number in range(count)]
            length, found = await database.read(work(wanted))
            assert found == wanted[:9]
            lengths.append(length)
        # A statement of SQLite has as many parameters; an array of PostgreSQL is one.
        few = [0, 1, 2, 4, 4, 8, 8, 8, 8, 16]
        assert lengths == (few if dialect == "sqlite" else [*range(10)])
