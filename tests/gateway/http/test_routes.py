import pytest

from chassis.errors import Refusal
from gateway.http.routes import PATH_BYTES_MAX, Routes


@pytest.fixture
def routes():
    made = Routes()
    made.add("GET", "/v1/tasks", "list")
    made.add("POST", "/v1/tasks", "create")
    made.add("GET", "/v1/tasks/{id}", "get")
    made.add("POST", "/v1/tasks/bulk_create", "bulk_create")
    made.add("POST", "/v1/tasks/{id}/publish", "publish")
    return made


def test_a_path_is_found_with_and_without_a_trailing_slash(routes):
    assert routes.find("GET", "/v1/tasks") == ("list", {})
    assert routes.find("GET", "/v1/tasks/") == ("list", {})
    assert routes.find("GET", "/v1/tasks/7/") == ("get", {"id": "7"})


def test_two_trailing_slashes_are_another_path(routes):
    assert routes.find("GET", "/v1/tasks//") is None


def test_a_parameter_never_swallows_a_literal_segment(routes):
    with pytest.raises(Refusal) as refused:
        routes.find("GET", "/v1/tasks/bulk_create")
    assert refused.value.reason == "METHOD_NOT_ALLOWED"
    assert refused.value.metadata == {"allow": "OPTIONS, POST"}
    assert routes.find("POST", "/v1/tasks/bulk_create/publish") is None


def test_a_wrong_verb_names_the_right_ones(routes):
    with pytest.raises(Refusal) as refused:
        routes.find("DELETE", "/v1/tasks")
    assert refused.value.metadata == {"allow": "GET, OPTIONS, POST"}


@pytest.mark.parametrize(
    "segment", ["a%2Fb", "%00", "%ff", "..%2f", "", "a b", "ä", "x" * 129, "a;b", "%"]
)
def test_a_parameter_is_a_plain_word(routes, segment):
    assert routes.find("GET", f"/v1/tasks/{segment}/") in (None, ("list", {}))
    assert routes.find("POST", f"/v1/tasks/{segment}/publish") is None


def test_an_escaped_letter_is_the_letter(routes):
    assert routes.find("GET", "/v1/tasks/%41b") == ("get", {"id": "Ab"})
    assert routes.find("GET", "/v1/%74asks") == ("list", {})


def test_an_endless_path_is_not_walked(routes):
    assert routes.find("GET", "/v1" + "/x" * PATH_BYTES_MAX) is None


def test_a_route_is_declared_once(routes):
    with pytest.raises(ValueError, match="twice"):
        routes.add("GET", "/v1/tasks/{name}", "again")


def test_a_template_that_is_not_understood_is_refused(routes):
    with pytest.raises(ValueError, match="not understood"):
        routes.add("GET", "/v1/{name=shelves/*}", "wild")
