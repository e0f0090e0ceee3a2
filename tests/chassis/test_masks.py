"""Update masks: what an update changes, and what nobody may change."""

import pytest
from writer.billing.v1 import budgets_pb2

from chassis import masks
from chassis.errors import InvalidFields


def request(*paths):
    made = budgets_pb2.UpdateBudgetRequest()
    made.update_mask.paths.extend(paths)
    return made


def test_without_a_mask_everything_that_can_be_is_changed():
    assert masks.chosen(request(), "title", "seo.title") == {"title", "seo.title"}


def test_a_mask_names_fields_and_fields_above_others():
    assert masks.chosen(request("title", "title"), "title", "words") == {"title"}
    assert masks.chosen(request("seo"), "title", "seo.title", "seo.text") == {
        "seo.title",
        "seo.text",
    }


@pytest.mark.parametrize("path", ["id", "seo.title.x", "se", "*", "", "titl"])
def test_what_nobody_may_change_is_refused_by_name(path):
    with pytest.raises(InvalidFields) as caught:
        masks.chosen(request("title", path), "title", "seo.title", within="thing")
    assert [each.field for each in caught.value.violations] == [f"thing.{path}"]
