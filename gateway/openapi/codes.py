"""Every reason that a call may be refused with, and when an operation must name it.

The status follows from the gateway's own mapping. A reason that only some methods have is
found in the comment of the method, where the contract says what it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chassis.access import LEVELS
from chassis.errors import Kind, Refusal
from gateway.contracts import Binding
from gateway.http import errors
from gateway.transcoding.fields import is_list

CAPITALS = re.compile(r"\b[A-Z]+(?:_[A-Z]+)*\b")


@dataclass(frozen=True, slots=True)
class Code:
    """One reason."""

    kind: Kind
    meaning: str


CODES = {
    "INVALID_FIELDS": Code(Kind.INVALID_ARGUMENT, "Fields, parameters or headers are at fault."),
    "TOO_MANY_ITEMS": Code(Kind.INVALID_ARGUMENT, "A list is longer than allowed."),
    "PAGE_TOKEN_INVALID": Code(
        Kind.INVALID_ARGUMENT, "The token is damaged or belongs to other filters."
    ),
    "MALFORMED_REQUEST": Code(Kind.INVALID_ARGUMENT, "This is not an HTTP request."),
    "UNAUTHENTICATED": Code(Kind.UNAUTHENTICATED, "Credentials are missing or not valid."),
    "TOKEN_EXPIRED": Code(Kind.UNAUTHENTICATED, "The access token is too old."),
    "KEY_REVOKED": Code(Kind.UNAUTHENTICATED, "The API key was revoked or has expired."),
    "INSUFFICIENT_CREDITS": Code(
        Kind.FAILED_PRECONDITION, "Too few credits; `details` says how many are needed."
    ),
    "ROLE_FORBIDDEN": Code(Kind.PERMISSION_DENIED, "The role does not allow this."),
    "SITE_FORBIDDEN": Code(
        Kind.PERMISSION_DENIED,
        "The site was not granted to the caller, or who is limited to some sites may not decide"
        " for the whole account.",
    ),
    "ACCOUNT_INACTIVE": Code(Kind.PERMISSION_DENIED, "The account is suspended or cancelled."),
    "NOT_FOUND": Code(Kind.NOT_FOUND, "There is no such thing, or it belongs to another account."),
    "ORIGIN_FORBIDDEN": Code(
        Kind.PERMISSION_DENIED, "Pages of this origin may not call for the account."
    ),
    "METHOD_NOT_ALLOWED": Code(Kind.INVALID_ARGUMENT, "The path exists, but not with this verb."),
    "NOT_ACCEPTABLE": Code(Kind.INVALID_ARGUMENT, "`Accept` leaves out what is answered here."),
    "REQUEST_TIMEOUT": Code(Kind.INVALID_ARGUMENT, "The request did not arrive in time."),
    "ALREADY_EXISTS": Code(
        Kind.ALREADY_EXISTS, "Something else has the name or address; `details` may name it."
    ),
    "INVALID_TRANSITION": Code(Kind.FAILED_PRECONDITION, "Its state does not allow this."),
    "LAST_OWNER": Code(Kind.FAILED_PRECONDITION, "The account would be left without an owner."),
    "NOT_READY_TO_PUBLISH": Code(Kind.FAILED_PRECONDITION, "Something is missing for publishing."),
    "REFUND_EXCEEDS_CHARGE": Code(
        Kind.FAILED_PRECONDITION, "More than is left of the charge was to be given back."
    ),
    "RESERVATION_EXPIRED": Code(
        Kind.FAILED_PRECONDITION, "The credits for this went back before it was done."
    ),
    "ETAG_MISMATCH": Code(Kind.ABORTED, "It has changed since the revision in `If-Match`."),
    "PAYLOAD_TOO_LARGE": Code(Kind.INVALID_ARGUMENT, "The body is too large."),
    "ADDRESS_TOO_LONG": Code(Kind.INVALID_ARGUMENT, "The query is too long."),
    "RANGE_NOT_SATISFIABLE": Code(Kind.INVALID_ARGUMENT, "The file has no such part."),
    "UNSUPPORTED_MEDIA_TYPE": Code(Kind.INVALID_ARGUMENT, "The body is not application/json."),
    "TRANSFER_CODING_UNKNOWN": Code(
        Kind.INVALID_ARGUMENT, "The body comes in a transfer coding other than chunked."
    ),
    "REQUEST_ID_REUSED": Code(
        Kind.INVALID_ARGUMENT, "The idempotency key was used for another request."
    ),
    "RATE_LIMITED": Code(Kind.RESOURCE_EXHAUSTED, "Too many requests; see `Retry-After`."),
    "HEADERS_TOO_LARGE": Code(Kind.INVALID_ARGUMENT, "Address and headers are too large."),
    "INTERNAL": Code(Kind.INTERNAL, "Something went wrong on our side."),
    "OVERLOADED": Code(Kind.UNAVAILABLE, "Too many requests at once; see `Retry-After`."),
    "UNAVAILABLE": Code(Kind.UNAVAILABLE, "Not available at the moment; try again."),
    "DEADLINE_EXCEEDED": Code(Kind.DEADLINE_EXCEEDED, "The answer took too long; try again."),
}


def status_of(code: str) -> int:
    """The HTTP status of a reason."""
    return errors.status_of(Refusal(CODES[code].kind, code, ""))


def named_in(comment: str) -> list[str]:
    """The reasons that a comment names, in its order."""
    return [word for word in dict.fromkeys(CAPITALS.findall(comment)) if word in CODES]


def of_binding(binding: Binding, comment: str) -> list[str]:
    """All that one operation may be refused with."""
    reasons = {*_general(binding), *named_in(comment)}
    return [code for code in CODES if code in reasons]


def grouped(codes: Iterable[str]) -> dict[int, list[str]]:
    """Reasons by status."""
    found: dict[int, list[str]] = {}
    for code in codes:
        found.setdefault(status_of(code), []).append(code)
    return dict(sorted(found.items()))


def everywhere() -> tuple[str, ...]:
    """What any path may answer, also one that is no operation of a service.

    What the edge and the protocol refuse, before a route is looked for; a test compares them.
    """
    return (
        "MALFORMED_REQUEST",
        "REQUEST_TIMEOUT",
        "ADDRESS_TOO_LONG",
        "TRANSFER_CODING_UNKNOWN",
        "HEADERS_TOO_LARGE",
        "INTERNAL",
        "OVERLOADED",
    )


def _general(binding: Binding) -> Iterator[str]:
    method = binding.method
    names = {field.name for field in method.request.fields}
    yield "INVALID_FIELDS"
    if any(is_list(field) for field in method.request.fields):
        yield "TOO_MANY_ITEMS"
    if "page_token" in names:
        yield "PAGE_TOKEN_INVALID"
    yield from ("ACCOUNT_INACTIVE", "ORIGIN_FORBIDDEN")
    if method.access != "public":
        yield from ("UNAUTHENTICATED", "TOKEN_EXPIRED", "KEY_REVOKED", "SITE_FORBIDDEN")
        if len(roles(method.level)) < len(LEVELS):
            yield "ROLE_FORBIDDEN"
    if "{" in binding.template:
        yield "NOT_FOUND"
    if binding.body:
        yield from ("PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")
    if "etag" in names:
        yield "ETAG_MISMATCH"
    if "request_id" in names:
        yield "REQUEST_ID_REUSED"
    if method.throttle:
        yield "RATE_LIMITED"
    yield from (*everywhere(), "UNAVAILABLE", "DEADLINE_EXCEEDED")


def roles(level: int) -> list[str]:
    """The roles whose users and keys may call a method of this level."""
    return [role for role, levels in LEVELS.items() if level in levels]
