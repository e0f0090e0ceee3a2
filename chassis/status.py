"""Refusals on the wire: `google.rpc.Status` with exactly one ErrorInfo, and back.

What is not a refusal becomes INTERNAL here, with the request id and nothing else: driver
texts and stack traces stay in the log.
"""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis.errors import Kind, Refusal, Violation

DOMAIN = "writer"
TEXT_CHARS_MAX = 2_000
"""Of each text in an error: all of it must fit into gRPC's trailers, see METADATA_BYTES_MAX."""
_CODES = {kind: code_pb2.Code.Value(kind.value) for kind in Kind}
_KINDS = {code: kind for kind, code in _CODES.items()}
_FROM_GRPC = {
    grpc.StatusCode.UNAVAILABLE: Kind.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Kind.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED: Kind.UNAVAILABLE,
}
"""Codes without a refusal that mean something for a caller; no service of ours sends others."""


def internal(request_id: str) -> Refusal:
    """What a caller is told of an unexpected error."""
    return Refusal(
        Kind.INTERNAL,
        "INTERNAL",
        "Something went wrong on our side.",
        metadata={"request_id": request_id},
    )


def to_status(refusal: Refusal) -> status_pb2.Status:
    """The wire form of a refusal."""
    metadata = {key: _text(value) for key, value in refusal.metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=metadata)
    details = [_packed(info)]
    if refusal.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=_text(v.field), description=_text(v.description)
            )
            for v in refusal.violations
        ]
        details.append(_packed(error_details_pb2.BadRequest(field_violations=violations)))
    return status_pb2.Status(
        code=_CODES[refusal.kind], message=_text(refusal.message), details=details
    )


def from_error(error: grpc.RpcError) -> Refusal:
    """The refusal behind a failed call; a bare code (no ErrorInfo) keeps only its kind."""
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
    except ValueError:
        # Details that contradict the code: somebody between us has replaced one of them.
        status = None
    if status is not None:
        return from_status(status)
    code = error.code() if isinstance(error, grpc.aio.AioRpcError) else grpc.StatusCode.UNKNOWN
    kind = _FROM_GRPC.get(code, Kind.INTERNAL)
    return Refusal(kind, kind.value, "The service did not answer.")


def from_status(status: status_pb2.Status) -> Refusal:
    """Reads the wire form; an unknown code becomes INTERNAL."""
    kind = _KINDS.get(status.code, Kind.INTERNAL)
    reason, metadata = kind.value, {}
    violations: list[Violation] = []
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            violations.extend(Violation(v.field, v.description) for v in bad.field_violations)
    return Refusal(kind, reason, status.message, metadata=metadata, violations=tuple(violations))


def _packed(detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _text(value: object) -> str:
    # Lone surrogates, which a text from outside may hold, have no wire form.
    return str(value)[:TEXT_CHARS_MAX].encode(errors="replace").decode()
