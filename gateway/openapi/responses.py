"""What comes back: the envelopes around a resource and a page, and every refusal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from protobuf import DescMessage

from chassis.pages import COUNTED_MAX
from gateway.openapi import examples
from gateway.openapi.codes import CODES, grouped
from gateway.openapi.names import reference, type_name
from gateway.openapi.rules import Schema
from gateway.openapi.schemas import Schemas
from gateway.transcoding.conversion import is_listing
from gateway.transcoding.fields import element_of, is_list

JSON = "application/json"
_REQUEST_ID: Schema = {
    "type": "string",
    "description": "Names this call; also in the header `X-Request-Id`.",
    "examples": [examples.REQUEST_ID],
}
_LINK: Schema = {"type": ["string", "null"], "description": "Address of that page; null without."}
_COUNT = (
    "Rows that the filters match, over all pages. Where histories are long they are counted up to "
    f"{COUNTED_MAX:,}, which means: more than {COUNTED_MAX - 1:,}."
)
ERROR: Schema = {
    "type": "object",
    "description": "Why a request was refused.",
    "required": ["success", "error", "code", "errors", "request_id"],
    "properties": {
        "success": {"type": "boolean", "const": False},
        "error": {"type": "string", "description": "One sentence for people."},
        "code": {
            "type": "string",
            "pattern": "^[A-Z][A-Z0-9_]*$",
            "description": "The stable reason; each answer lists those that it may have.",
        },
        "errors": {
            "type": "object",
            "description": "What is wrong with which field, parameter or header.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "details": {
            "type": "object",
            "description": "What varies with the reason, such as the credits that are required.",
            "additionalProperties": True,
        },
        "request_id": _REQUEST_ID,
    },
}
HEADERS: dict[str, Schema] = {
    "X-Request-Id": {
        "description": "Names this call, also in the logs; yours when you sent a sane one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Revision of the resource, for `If-Match`.",
        "schema": {"type": "string"},
    },
    "Content-Range": {
        "description": "Which bytes of how many; of how many alone where there are no such bytes.",
        "schema": {"type": "string", "examples": ["bytes 0-1023/52011", "bytes */52011"]},
    },
    "Retry-After": {
        "description": "Seconds until another attempt may succeed.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "The kinds of credentials that are known.",
        "schema": {"type": "string"},
    },
    "X-Throttle-Limit": {
        "description": "Calls a minute that the account has in this scope.",
        "schema": {"type": "integer"},
    },
    "X-Throttle-Remaining": {
        "description": "Calls left in this minute.",
        "schema": {"type": "integer"},
    },
    "X-Throttle-Reset": {
        "description": "When the count starts anew.",
        "schema": {"type": "integer"},
    },
}
_THROTTLE = ("X-Throttle-Limit", "X-Throttle-Remaining", "X-Throttle-Reset")
_BY_STATUS = {
    401: ("WWW-Authenticate",),
    416: ("Content-Range",),
    429: ("Retry-After", *_THROTTLE),
    503: ("Retry-After",),
}


class Answers:
    """Makes answers; refusals that are alike are kept under one name."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self.refusals: dict[str, Schema] = {}

    def success(self, desc: DescMessage, description: str, *, throttled: bool) -> Schema:
        """The answer with a message: the whole of it, or a page of its rows."""
        named = self._page(desc) if is_listing(desc) else self._resource(desc)
        headers = ["X-Request-Id", *(_THROTTLE if throttled else ())]
        if any(field.name == "etag" for field in desc.fields):
            headers.append("ETag")
        return {
            "description": description,
            "headers": header_references(headers),
            "content": {JSON: {"schema": named}},
        }

    def empty(self, *, throttled: bool) -> Schema:
        """The answer without a body."""
        headers = ["X-Request-Id", *(_THROTTLE if throttled else ())]
        return {"description": "Done.", "headers": header_references(headers)}

    def unchanged(self) -> Schema:
        """The answer to a client that has the resource."""
        headers = header_references(["X-Request-Id", "ETag"])
        return {"description": "It is what the client has.", "headers": headers}

    def refusals_of(self, codes: Iterable[str]) -> dict[str, Schema]:
        """Answers by status for any of these reasons, as an operation lists them."""
        return {str(status): self._refusal(status, of) for status, of in grouped(codes).items()}

    def _refusal(self, status: int, codes: list[str]) -> Schema:
        name = "Or".join("".join(word.capitalize() for word in c.split("_")) for c in codes)
        self.refusals.setdefault(name, _refusal(status, codes))
        return {"$ref": f"#/components/responses/{name}"}

    def _resource(self, desc: DescMessage) -> Schema:
        name = f"{type_name(desc)}Envelope"
        if self._schemas.components.claim(name, desc.type_name):
            self._schemas.components.schemas[name] = envelope(self._schemas.answered(desc))
        return reference(name)

    def _page(self, desc: DescMessage) -> Schema:
        rows = next(field for field in desc.fields if is_list(field))
        row = element_of(rows)
        assert isinstance(row, DescMessage)
        name = f"{type_name(row)}Page"
        if self._schemas.components.claim(name, row.type_name):
            self._schemas.components.schemas[name] = {
                "type": "object",
                "required": ["success", "count", "next", "previous", "results", "request_id"],
                "properties": {
                    "success": {"type": "boolean", "const": True},
                    "count": {
                        "type": "integer",
                        "minimum": 0,
                        "description": _COUNT,
                    },
                    "next": _LINK,
                    "previous": _LINK,
                    "results": {"type": "array", "items": self._schemas.answered(row)},
                    "request_id": _REQUEST_ID,
                },
            }
        return reference(name)


def envelope(data: Schema) -> Schema:
    """The envelope around one resource."""
    return {
        "type": "object",
        "required": ["success", "data", "request_id"],
        "properties": {
            "success": {"type": "boolean", "const": True},
            "data": data,
            "request_id": _REQUEST_ID,
        },
    }


def header_references(names: list[str]) -> dict[str, Schema]:
    """Headers by their names."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _refusal(status: int, codes: list[str]) -> Schema:
    return {
        "description": "\n".join(f"- `{code}`: {CODES[code].meaning}" for code in codes),
        "headers": header_references(["X-Request-Id", *_BY_STATUS.get(status, ())]),
        "content": {
            JSON: {
                "schema": reference("Error"),
                "examples": {code: {"value": _example(code)} for code in codes},
            }
        },
        "x-error-codes": codes,
    }


def _example(code: str) -> dict[str, Any]:
    errors = {"title": ["is required"]} if code == "INVALID_FIELDS" else {}
    details = {"required": 1200, "available": 90} if code == "INSUFFICIENT_CREDITS" else None
    return {
        "success": False,
        "error": CODES[code].meaning,
        "code": code,
        "errors": errors,
        **({"details": details} if details else {}),
        "request_id": examples.REQUEST_ID,
    }
