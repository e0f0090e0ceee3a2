"""Refusals on the wire and back: nothing is lost that fits, and nothing breaks that does not."""

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from chassis import errors
from chassis.errors import Kind, Refusal, Violation
from chassis.status import from_error, from_status, internal, to_status

REFUSALS = [
    errors.InvalidFields(Violation("task.title", "is too long"), Violation("ids[3]", "is empty")),
    errors.InvalidFields(Violation("ids", "has too many"), reason="TOO_MANY_ITEMS"),
    errors.NotFound("task", "1", "2"),
    errors.AlreadyExists("cluster", "7"),
    errors.InvalidTransition("The task is completed.", state="completed"),
    errors.EtagMismatch("task", "5"),
    errors.RequestIdReused(),
    errors.PageTokenInvalid(),
    errors.Unauthenticated(),
    errors.Unauthenticated("The token has expired.", reason="TOKEN_EXPIRED"),
    errors.Forbidden("SITE_FORBIDDEN", "You may not see this site."),
    errors.Unavailable(),
    internal("r-1"),
    *(
        Refusal(kind, "REASON", "Ein Satz mit Ümläuten: 日本.", metadata={"a": "ä"})
        for kind in Kind
    ),
]


def parts(refusal):
    return refusal.kind, refusal.reason, refusal.message, refusal.metadata, refusal.violations


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda each: f"{each.kind}-{each.reason}")
def test_a_refusal_survives_the_wire(refusal):
    wire = status_pb2.Status.FromString(to_status(refusal).SerializeToString())
    assert parts(from_status(wire)) == parts(refusal)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda each: f"{each.kind}-{each.reason}")
def test_an_error_has_exactly_one_error_info(refusal):
    wire = to_status(refusal)
    infos = [d for d in wire.details if d.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    assert wire.code == code_pb2.Code.Value(refusal.kind.value)


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (errors.NotFound("task"), "There is no such task."),
        (errors.NotFound("task", "a"), "There is no task a."),
        (errors.NotFound("task", "a", "b"), "There are no tasks a, b."),
        (errors.NotFound("taxonomy", "a", "b"), "There are no taxonomies a, b."),
    ],
)
def test_what_does_not_exist_is_named_one_or_several(refusal, sentence):
    assert refusal.message == sentence


def test_an_error_of_another_kind_of_server_becomes_internal():
    status = status_pb2.Status(code=code_pb2.DATA_LOSS, message="lost")
    assert from_status(status).kind is Kind.INTERNAL


def test_endless_texts_are_cut():
    violations = tuple(Violation("f" * 9000, "d" * 9000) for _ in range(3))
    refusal = Refusal(
        Kind.NOT_FOUND, "NOT_FOUND", "m" * 9000, metadata={"ids": "i" * 9000}, violations=violations
    )
    assert to_status(refusal).ByteSize() < 20_000


def test_what_cannot_be_written_is_replaced():
    refusal = Refusal(Kind.NOT_FOUND, "NOT_FOUND", "bad \ud800", metadata={"n": 5})
    found = from_status(to_status(refusal))
    assert (found.message, found.metadata) == ("bad ?", {"n": "5"})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("UNAVAILABLE", Kind.UNAVAILABLE),
        ("CANCELLED", Kind.UNAVAILABLE),
        ("DEADLINE_EXCEEDED", Kind.DEADLINE_EXCEEDED),
        ("RESOURCE_EXHAUSTED", Kind.INTERNAL),
        ("PERMISSION_DENIED", Kind.INTERNAL),
        ("UNIMPLEMENTED", Kind.INTERNAL),
    ],
)
def test_a_code_without_a_refusal_is_a_fault_unless_it_says_that_nobody_answered(code, kind):
    metadata = grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(grpc.StatusCode[code], metadata, metadata, "words of a driver")
    refusal = from_error(error)
    assert refusal.kind is kind
    assert "driver" not in refusal.message
