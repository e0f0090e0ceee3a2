"""The operations that no contract declares, described by hand; here and nowhere else.

Each is in the document when the gateway has the route.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.openapi import codes, examples
from gateway.openapi.inputs import SEGMENT
from gateway.openapi.operations import SECURITY
from gateway.openapi.responses import JSON, Answers, envelope, header_references
from gateway.openapi.rules import Schema

HEALTH, EVENTS, KEYS = "Health", "Events", "Keys"
TAGS = {
    HEALTH: "Whether the gateway lives, and whether all services behind it answer.",
    EVENTS: "What happens, as it happens: server-sent events.",
    KEYS: "What access tokens are verified with.",
}
_MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
_BINARY: Schema = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
_CONDITIONS = {
    "Range": "One part of the file, such as `bytes=1024-`; several parts mean the whole file.",
    "If-Range": "The `ETag` of the file that a part is wanted of: the whole file if it is another.",
}
_TAG = '(W/)?"[^",]*"'
_MATCH: Schema = {
    "name": "If-Match",
    "in": "header",
    "description": "ETags: refused with `ETAG_MISMATCH` when the file has none of them.",
    "schema": {"type": "string", "pattern": rf"^(\*|{_TAG}( *, *{_TAG})*)$"},
}
_SEEN = "The `id` of the last event that was received: the stream goes on after it."
_POSITION: Schema = {"type": "string", "pattern": "^([0-9]{1,18}|end)?$"}
_RESUME: tuple[Schema, ...] = (
    {"name": "Last-Event-ID", "in": "header", "description": _SEEN, "schema": _POSITION},
    {
        "name": "last_event_id",
        "in": "query",
        "description": f"{_SEEN} For clients that cannot send the header, which wins.",
        "schema": _POSITION,
    },
)
_SITE: Schema = {
    "name": "site_id",
    "in": "query",
    "description": "Only events of this site; the same as the header `X-Site-Id`.",
    "schema": {"type": "string", "maxLength": 64},
}
_STREAMED = (
    "A stream of server-sent events: `event` is the type and `data` a JSON object. Who comes back "
    "with the last `id` misses nothing and hears nothing twice; an event `reset` says that events "
    "are missing here, and to read anew what you show. An event `end` says why the stream ends and "
    "whether to come back. Comments keep the connection alive."
)
_REFUSALS = (
    "INVALID_FIELDS",
    "UNAUTHENTICATED",
    "TOKEN_EXPIRED",
    "KEY_REVOKED",
    "ROLE_FORBIDDEN",
    "SITE_FORBIDDEN",
    "ACCOUNT_INACTIVE",
    "ORIGIN_FORBIDDEN",
    "NOT_ACCEPTABLE",
    "RATE_LIMITED",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
)


def operations(answers: Answers, event_types: Iterable[str]) -> dict[tuple[str, str], Schema]:
    """Operations by verb and template; events may be of these types."""
    return {
        ("GET", "/api/v1/writer/images/{id}/file"): _image_file(answers),
        ("GET", "/api/v1/writer/runs/{id}/watch"): _watch_run(answers),
        ("GET", "/api/v1/events"): _watch_events(answers, sorted(event_types)),
        ("GET", "/.well-known/jwks.json"): _keys(answers),
        ("GET", "/healthz"): _health(answers, "get_liveness", "Whether the gateway lives", "alive"),
        ("GET", "/readyz"): _health(
            answers,
            "get_readiness",
            "Whether every service behind the gateway answers",
            "ready",
            "UNAVAILABLE",
        ),
    }


def _image_file(answers: Answers) -> Schema:
    headers = {
        **header_references(["X-Request-Id", "ETag"]),
        "Cache-Control": {"description": "A file never changes.", "schema": {"type": "string"}},
        "Accept-Ranges": {
            "description": "`bytes`: parts can be had.",
            "schema": {"type": "string"},
        },
    }
    ranged = {**headers, **header_references(["Content-Range"])}
    content = dict.fromkeys((*_MEDIA_TYPES, "application/octet-stream"), _BINARY)
    refusals = (
        *("INVALID_FIELDS", "NOT_FOUND", "ETAG_MISMATCH", "RANGE_NOT_SATISFIABLE"),
        *codes.everywhere(),
        *("UNAVAILABLE", "DEADLINE_EXCEEDED"),
    )
    return {
        "operationId": "get_image_file",
        "tags": ["Image"],
        "summary": "Returns the file of a generated image",
        "description": "Public by id: an id cannot be guessed, and published articles show their "
        "pictures to everyone. Needs no credentials.",
        "parameters": [
            _id("image"),
            {"$ref": "#/components/parameters/If-None-Match"},
            *(
                {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
                for name, text in _CONDITIONS.items()
            ),
            _MATCH,
        ],
        "responses": {
            "200": {"description": "The file.", "headers": headers, "content": content},
            "206": {"description": "The part.", "headers": ranged, "content": content},
            "304": {"description": "The client has the file.", "headers": headers},
            **answers.refusals_of(refusals),
        },
        "security": [],
    }


def _watch_run(answers: Answers) -> Schema:
    described = _stream(answers, *_REFUSALS, "NOT_FOUND")
    described["responses"] = {
        "204": {
            "description": "The run has ended and the client has seen it: do not come back.",
            "headers": header_references(["X-Request-Id"]),
        },
        **described["responses"],
    }
    return {
        "operationId": "watch_run",
        "tags": ["Run"],
        "summary": "Watches a run until it has ended",
        "description": "The run as it is, then each change of it, its generations, contents and "
        f"pictures. {_STREAMED}",
        "parameters": [_id("run"), *_RESUME],
        **described,
    }


def _watch_events(answers: Answers, types: list[str]) -> Schema:
    return {
        "operationId": "watch_events",
        "tags": [EVENTS],
        "summary": "Watches what happens in the account",
        "description": f"What the caller may read, of all sites or of one. {_STREAMED}",
        "parameters": [
            {
                "name": "types",
                "in": "query",
                "description": "Only these types of events; one in each `types`.",
                "schema": {"type": "array", "items": {"type": "string", "enum": types}},
            },
            _SITE,
            *_RESUME,
            {"$ref": "#/components/parameters/X-Site-Id"},
        ],
        **_stream(answers, *_REFUSALS),
    }


def _stream(answers: Answers, *refusals: str) -> Schema:
    return {
        "responses": {
            "200": {
                "description": "Events, until the client or the server hangs up.",
                "headers": header_references(["X-Request-Id"]),
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **answers.refusals_of((*refusals, *codes.everywhere())),
        },
        "security": SECURITY,
    }


def _keys(answers: Answers) -> Schema:
    keys = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
    schema = {"type": "object", "required": ["keys"], "properties": {"keys": keys}}
    return {
        "operationId": "get_public_keys",
        "tags": [KEYS],
        "summary": "Returns the public keys of access tokens",
        "description": "A JSON Web Key Set (RFC 7517), without an envelope. Needs no credentials.",
        "responses": {
            "200": {
                "description": "The keys.",
                "headers": header_references(["X-Request-Id"]),
                "content": {"application/jwk-set+json": {"schema": schema}},
            },
            **answers.refusals_of(codes.everywhere()),
        },
        "security": [],
    }


def _health(answers: Answers, name: str, summary: str, status: str, *refusals: str) -> Schema:
    data = {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"type": "string", "const": status}},
    }
    return {
        "operationId": name,
        "tags": [HEALTH],
        "summary": summary,
        "description": f"{summary}. Needs no credentials.",
        "responses": {
            "200": {
                "description": "Yes.",
                "headers": header_references(["X-Request-Id"]),
                "content": {JSON: {"schema": envelope(data)}},
            },
            **answers.refusals_of((*refusals, *codes.everywhere())),
        },
        "security": [],
    }


def _id(of: str) -> Schema:
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": f"Id of the {of}.",
        "schema": {"type": "string", "pattern": SEGMENT},
        "example": examples.ID,
    }
