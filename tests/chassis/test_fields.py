"""The words in which broken rules of a contract are told to people."""

import pytest
from support.scripted import WHOLE_TASK
from writer.billing.v1 import reservations_pb2
from writer.identity.v1 import identity_pb2
from writer.tasks.v1 import runs_pb2, tasks_pb2

from chassis import fields
from chassis.errors import InvalidFields

TYPES = "must be one of post, page, product, taxonomy"


@pytest.fixture(scope="module")
def told():
    """What is said of each field of a request."""

    def told(request):
        with pytest.raises(InvalidFields) as caught:
            fields.check(request)
        found = {}
        for violation in caught.value.violations:
            found.setdefault(violation.field, []).append(violation.description)
        return found

    return told


def creating(**changes):
    return tasks_pb2.CreateTaskRequest(task=tasks_pb2.Task(**WHOLE_TASK | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"title": ""}, "must not be blank"),
        ({"title": " \t"}, "must not be blank"),
        ({"title": "x" * 501}, "must have at most 500 characters"),
        ({"cluster_id": ""}, "must not be empty"),
        ({"cluster_id": "the first"}, "must be a UUID"),
        ({"content_type": 0}, TYPES),
        ({"content_type": 99}, TYPES),
        ({"word_count": 99}, "must be from 100 to 10000"),
    ],
)
def test_a_broken_rule_of_a_task_is_told_once_and_in_plain_words(told, changes, words):
    [field] = changes
    assert told(creating(**changes)) == {f"task.{field}": [words]}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (tasks_pb2.CreateTaskRequest(), {"task": ["is required"]}),
        (tasks_pb2.GetTaskRequest(), {"id": ["must not be empty"]}),
        (
            tasks_pb2.ListTasksRequest(status=77, skip=-1),
            {"status": ["must be one of queued, completed"], "skip": ["must be from 0 to 10000"]},
        ),
        (runs_pb2.GenerateContentRequest(), {"ids": ["must not be empty"]}),
        (runs_pb2.GenerateContentRequest(ids=["a", "a"]), {"ids": ["must not repeat an item"]}),
        (runs_pb2.GenerateContentRequest(ids=["a", ""]), {"ids[1]": ["must not be empty"]}),
        (
            runs_pb2.GenerateContentRequest(ids=[str(n) for n in range(11)]),
            {"ids": ["must have at most 10 items"]},
        ),
        (
            identity_pb2.RegisterRequest(email="nobody", password="short"),
            {
                "email": ["must be an e-mail address"],
                "password": ["must have at least 10 characters"],
            },
        ),
    ],
)
def test_a_broken_rule_of_a_request_is_told_in_plain_words(told, request_, expected):
    assert told(request_) == expected


def test_a_rule_with_words_of_its_own_keeps_them(told):
    request = reservations_pb2.ReserveCreditsRequest(ttl_s=1)
    assert told(request)["ttl_s"] == ["must be 0 or between 60 and 604800"]


def test_of_too_many_values_none_is_listed(told, monkeypatch):
    monkeypatch.setattr(fields, "VALUES_MAX", 3)
    assert told(creating(content_type=99)) == {"task.content_type": ["is not a known value"]}
