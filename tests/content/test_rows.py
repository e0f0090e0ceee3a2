"""What stands where in a row of contents, which becomes a content by position."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Boolean, Integer, insert

from chassis.columns import JsonDocument, UtcDateTime
from chassis.ids import new_id
from chassis.pages import PageQuery
from chassis.tenancy import Sight
from services.content.domain import Content
from services.content.schema import contents
from services.content.store.content_selects import ContentFilter, content_by_id
from services.content.store.contents import ContentStore
from services.content.store.taxonomies import TaxonomyStore

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
QUERY = PageQuery(size=20, token="", skip=0, order_by="", fingerprint="")


def test_a_row_is_the_account_then_every_field_in_its_order(room):
    columns = content_by_id(Sight.of(room.caller)).selected_columns.keys()
    assert columns == ["account_id", *Content._fields]
    assert Content._fields[-1] == "terms"


def distinct_values(tenant):
    """Something else for each column, so that no two fields can be taken for each other."""
    values = {}
    for number, column in enumerate(contents.c):
        if isinstance(column.type, UtcDateTime):
            values[column.name] = BEGAN + timedelta(hours=number)
        elif isinstance(column.type, JsonDocument):
            values[column.name] = [f"{column.name} {number}"]
        elif isinstance(column.type, Boolean):
            values[column.name] = True
        elif isinstance(column.type, Integer):
            values[column.name] = number
        else:
            values[column.name] = f"{column.name} {number}"[:16]
    return {**values, **tenant, "id": new_id(), "cluster_id": "", "delete_time": None}


async def test_every_field_has_the_value_of_its_column_alone_and_in_a_page(room, tenant):
    values = distinct_values(tenant)

    def work(connection):
        connection.execute(insert(contents).values(**values))
        terms = TaxonomyStore(connection, room.caller)
        [term_id] = terms.ensure(["Espresso"], "tag")
        terms.link(values["id"], [term_id])
        store = ContentStore(connection, room.caller)
        page, _, total = store.page(QUERY, ContentFilter(equal={}), full=True)
        return term_id, store.get(values["id"]), page, total

    term_id, alone, page, total = await room.database.write(work)
    expected = {name: values.get(name) for name in Content._fields}
    expected |= {"cluster_name": "", "terms": [[term_id, "Espresso", "espresso", "tag"]]}
    assert alone._asdict() == expected
    assert (page, total) == ([alone], 1)
