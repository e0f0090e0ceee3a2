"""From a refusal to an HTTP status, headers and the error envelope.

The reason decides first, then the kind. What is nobody's business outside (unexpected
errors, which service is down) is replaced by one sentence here.
"""

from __future__ import annotations

import re

import orjson

from chassis.errors import InvalidFields, Kind, Refusal, Violation
from gateway.http.answers import Answer, Headers

_BY_REASON = {
    "REQUEST_ID_REUSED": 422,
    "INSUFFICIENT_CREDITS": 402,
    "ACCOUNT_INACTIVE": 403,
    "ETAG_MISMATCH": 412,
    "PAYLOAD_TOO_LARGE": 413,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "REQUEST_TIMEOUT": 408,
    "ADDRESS_TOO_LONG": 414,
    "RANGE_NOT_SATISFIABLE": 416,
    "HEADERS_TOO_LARGE": 431,
    "TRANSFER_CODING_UNKNOWN": 501,
}
_BY_KIND = {
    Kind.INVALID_ARGUMENT: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.PERMISSION_DENIED: 403,
    Kind.NOT_FOUND: 404,
    Kind.ALREADY_EXISTS: 409,
    Kind.FAILED_PRECONDITION: 409,
    Kind.ABORTED: 409,
    Kind.RESOURCE_EXHAUSTED: 429,
    Kind.INTERNAL: 500,
    Kind.UNAVAILABLE: 503,
    Kind.DEADLINE_EXCEEDED: 504,
}
# Said instead of whatever the failing part said about itself.
_SENTENCES = {
    Kind.INTERNAL: "Something went wrong on our side.",
    Kind.UNAVAILABLE: "This is not available at the moment; please try again.",
    Kind.DEADLINE_EXCEEDED: "The answer took too long; please try again.",
}
_NUMBER = re.compile(r"-?[0-9]{1,15}")
_AMOUNTS = frozenset({"required", "available"})
_UNITS = ("_bytes", "_s", "_ms")
"""Metadata that REST shows as numbers: amounts of credits, and what ends in a unit."""
RETRY_AFTER = "retry_after_s"
_HEADERS = {
    RETRY_AFTER: b"retry-after",
    "allow": b"allow",
    "content_range": b"content-range",
}
"""Metadata entries that become headers."""
_CLOSING = "REQUEST_TIMEOUT"
"""After this the rest of the request is not waited for."""


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal."""
    return _BY_REASON.get(refusal.reason) or _BY_KIND[refusal.kind]


def refused(refusal: Refusal, request_id: str) -> Answer:
    """The whole answer to a refused request."""
    hidden = refusal.kind in _SENTENCES
    metadata = dict(refusal.metadata)
    named = [(name, metadata.pop(entry, "")) for entry, name in _HEADERS.items()]
    errors: dict[str, list[str]] = {}
    for violation in refusal.violations:
        errors.setdefault(violation.field, []).append(violation.description)
    document: dict[str, object] = {
        "success": False,
        "error": _SENTENCES[refusal.kind] if hidden else refusal.message,
        "code": refusal.reason,
        "errors": errors,
    }
    if metadata and not hidden:
        # Sorted: metadata comes over the wire in whatever order the service's process has it.
        document["details"] = {key: _shown(key, metadata[key]) for key in sorted(metadata)}
    document["request_id"] = request_id
    status = status_of(refusal)
    headers: Headers = [(name, value.encode()) for name, value in named if value]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer, ApiKey"))
    if refusal.reason == _CLOSING:
        headers.append((b"connection", b"close"))
    return Answer(status, orjson.dumps(document), headers)


def not_http() -> Refusal:
    """What came is not HTTP as the standard has it."""
    return Refusal(Kind.INVALID_ARGUMENT, "MALFORMED_REQUEST", "This is not an HTTP request.")


def not_one_host() -> Refusal:
    """RFC 9112, section 3.2: a request of HTTP/1.1 names its host, and no request names two."""
    return Refusal(Kind.INVALID_ARGUMENT, "MALFORMED_REQUEST", "Send the header Host once.")


def transfer_coding_unknown() -> Refusal:
    """The body comes in an encoding of the transfer that nobody here can take off."""
    return Refusal(
        Kind.INVALID_ARGUMENT,
        "TRANSFER_CODING_UNKNOWN",
        "Send the body with no transfer coding but chunked.",
    )


def not_found() -> Refusal:
    """No route has this path."""
    return Refusal(Kind.NOT_FOUND, "NOT_FOUND", "There is nothing at this address.")


def internal() -> Refusal:
    """Whatever nobody expected."""
    return Refusal(Kind.INTERNAL, "INTERNAL", _SENTENCES[Kind.INTERNAL])


def unsupported_media_type(message: str) -> Refusal:
    """The body is not JSON as we read it."""
    return Refusal(Kind.INVALID_ARGUMENT, "UNSUPPORTED_MEDIA_TYPE", message)


def not_acceptable(media_type: str) -> Refusal:
    """The client does not take what this address gives."""
    message = f"This address gives {media_type} only."
    return Refusal(Kind.INVALID_ARGUMENT, "NOT_ACCEPTABLE", message)


def payload_too_large(limit_bytes: int) -> Refusal:
    """The body is longer than allowed."""
    return Refusal(
        Kind.INVALID_ARGUMENT,
        "PAYLOAD_TOO_LARGE",
        f"The body is larger than {limit_bytes} bytes.",
        metadata={"limit_bytes": str(limit_bytes)},
    )


def head_too_large(limit_bytes: int) -> Refusal:
    """Request line and headers are longer than allowed."""
    return Refusal(
        Kind.INVALID_ARGUMENT,
        "HEADERS_TOO_LARGE",
        f"The address and headers are larger than {limit_bytes} bytes.",
        metadata={"limit_bytes": str(limit_bytes)},
    )


def too_many_headers(limit: int) -> Refusal:
    """There are more header lines than allowed."""
    return Refusal(
        Kind.INVALID_ARGUMENT, "HEADERS_TOO_LARGE", f"There are more than {limit} headers."
    )


def address_too_long(limit_bytes: int) -> Refusal:
    """The query string is longer than allowed."""
    return Refusal(
        Kind.INVALID_ARGUMENT,
        "ADDRESS_TOO_LONG",
        f"The query is longer than {limit_bytes} bytes.",
        metadata={"limit_bytes": str(limit_bytes)},
    )


def too_slow() -> Refusal:
    """The service has not answered in time."""
    kind = Kind.DEADLINE_EXCEEDED
    return Refusal(kind, kind.value, "The service did not answer in time.")


def overloaded() -> Refusal:
    """There are more connections than we serve at once."""
    return Refusal(Kind.UNAVAILABLE, "OVERLOADED", "busy", metadata={RETRY_AFTER: "1"})


def rate_limited(scope: str, limit: int, retry_after_s: int) -> Refusal:
    """The throttle of this scope is used up."""
    return Refusal(
        Kind.RESOURCE_EXHAUSTED,
        "RATE_LIMITED",
        f"More than {limit} requests in a minute; go on in {retry_after_s} s.",
        metadata={"scope": scope, RETRY_AFTER: str(retry_after_s)},
    )


def origin_forbidden() -> Refusal:
    """A page of an origin that the account has not allowed asks."""
    return Refusal(Kind.PERMISSION_DENIED, "ORIGIN_FORBIDDEN", "Pages of this origin may not call.")


def too_many_items(field: str, limit: int) -> Refusal:
    """A list in the body is longer than any may be."""
    return InvalidFields(
        Violation(field, f"must have at most {limit} items"), reason="TOO_MANY_ITEMS"
    )


def request_timeout() -> Refusal:
    """The head or the body did not arrive in time."""
    return Refusal(Kind.INVALID_ARGUMENT, "REQUEST_TIMEOUT", "The request did not arrive in time.")


def invalid(field: str, description: str) -> Refusal:
    """One field, parameter or header is at fault."""
    return InvalidFields(Violation(field, description))


def malformed(description: str) -> Refusal:
    """The body cannot be read at all, so no field is to blame."""
    return Refusal(Kind.INVALID_ARGUMENT, "INVALID_FIELDS", description)


def _shown(key: str, value: str) -> object:
    if (key in _AMOUNTS or key.endswith(_UNITS)) and _NUMBER.fullmatch(value):
        return int(value)
    return value
