"""Etags: the revision decides, the digests name what has changed."""

import pytest

from chassis import etags
from chassis.errors import EtagMismatch

BEFORE = {"title": "Tea", "tags": ["a"], "seo": {"title": "x", "text": None}, "words": 900}


def refusal_for(etag, revision, guarded, **options):
    with pytest.raises(EtagMismatch) as caught:
        etags.require(etag, "thing", revision, guarded, **options)
    return caught.value


def test_the_revision_that_was_read_may_be_changed():
    etag = etags.etag_of(3, BEFORE)
    etags.require(etag, "thing", 3, BEFORE)
    etags.require(etag, "thing", 3, {**BEFORE, "title": "a sum beside the row"})
    etags.require("", "thing", 3, BEFORE)
    etags.require("3", "thing", 3, BEFORE)


@pytest.mark.parametrize("name", BEFORE)
def test_another_revision_is_refused_and_names_what_changed(name):
    refusal = refusal_for(etags.etag_of(3, BEFORE), 4, {**BEFORE, name: "other"})
    assert [each.field for each in refusal.violations] == [name]
    assert refusal.metadata["etag"] == etags.etag_of(4, {**BEFORE, name: "other"})


def test_fields_are_named_as_the_request_names_them():
    now = {**BEFORE, "title": "Coffee", "words": 1}
    refusal = refusal_for(etags.etag_of(3, BEFORE), 9, now, within="thing")
    assert [each.field for each in refusal.violations] == ["thing.title", "thing.words"]


@pytest.mark.parametrize("etag", ["2", "2.", "2.xyz", "nonsense", "-1", ".", "2" * 99])
def test_whatever_else_is_sent_is_another_revision(etag):
    assert refusal_for(etag, 3, BEFORE).reason == "ETAG_MISMATCH"


def test_what_was_changed_and_changed_back_is_refused_without_a_name():
    assert refusal_for(etags.etag_of(3, BEFORE), 5, BEFORE).violations == ()


def test_an_older_release_guarded_fewer_fields():
    old = etags.etag_of(3, {"title": "Tea"})
    refusal = refusal_for(old, 4, {**BEFORE, "title": "Coffee", "words": 1})
    assert [each.field for each in refusal.violations] == ["title"]
