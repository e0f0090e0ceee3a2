"""What a page of contents reads of their terms: those of its contents and of no others."""

from support.plans import explained

from chassis.caller import Caller
from chassis.pages import PageQuery
from services.content.store.content_selects import ContentFilter
from services.content.store.contents import ContentStore


def test_the_terms_of_a_page_are_found_by_its_contents(tmp_path):
    caller = Caller(issuer="gateway", principal="user:1", account_id="a", role="editor")
    query = PageQuery(size=20, token="", skip=40, order_by="", fingerprint="")
    with explained(tmp_path, "services.content") as (connection, plans):
        found = ContentStore(connection, caller).page(query, ContentFilter(equal={}), full=True)
    assert found == ([], "", 0)
    page, _total = plans
    assert any("content_terms" in step and "content_id=?" in step for step in page)
    assert not any("content_terms" in step and step.startswith("SCAN") for step in page)
