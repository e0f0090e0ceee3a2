"""What a page of contents reads of their terms: those of its contents and of no others."""

from support.plans import explained

from chassis.caller import Caller
from chassis.ids import new_id
from services.content.store.taxonomies import TaxonomyStore


def test_the_terms_of_a_page_are_found_by_its_contents(tmp_path):
    caller = Caller(issuer="gateway", principal="user:1", account_id="a", role="editor")
    with explained(tmp_path, "services.content") as (connection, plans):
        assert TaxonomyStore(connection, caller).of_contents([new_id() for _ in "ab"]) == {}
    (plan,) = plans
    assert any("content_terms" in step and "content_id=?" in step for step in plan)
    assert not any(step.startswith("SCAN") for step in plan)
