"""The operations that no contract declares, described by hand; here and nowhere else.

Each is in the document when the gateway has the route.
"""

from __future__ import annotations

from gateway.openapi import codes, examples
from gateway.openapi.answers import JSON, Answers, envelope, header_references
from gateway.openapi.operations import SECURITY
from gateway.openapi.rules import Schema

HEALTH = "Health"
EVENTS = "Events"
TAGS = {
    HEALTH: "Whether the gateway lives, and whether all services behind it answer.",
    EVENTS: "What happens, as it happens: server-sent events.",
}
_ID: Schema = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Id of the image.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$"},
    "example": examples.ID,
}
_MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
_BINARY: Schema = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
_RESUME: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The `id` of the last event that was received: the stream goes on after it.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,64}$"},
}
_STREAMED = (
    "A stream of server-sent events. `id` is a number that grows, `event` the kind of event and "
    "`data` a JSON object. After a reconnect with `Last-Event-ID` nothing is lost or repeated; "
    "an event `reset` says that what was missed is too old, and that the resource must be read "
    "anew. Comments keep the connection alive."
)
_READ_REFUSALS = (
    "INVALID_FIELDS",
    "UNAUTHENTICATED",
    "TOKEN_EXPIRED",
    "KEY_REVOKED",
    "ROLE_FORBIDDEN",
    "SITE_FORBIDDEN",
    "ACCOUNT_INACTIVE",
    "RATE_LIMITED",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
)


def operations(answers: Answers) -> dict[tuple[str, str], Schema]:
    """Operations by verb and template."""
    return {
        ("GET", "/api/v1/writer/images/{id}/file"): _image_file(answers),
        ("GET", "/api/v1/writer/runs/{id}/watch"): {
            "operationId": "watch_run",
            "tags": ["Run"],
            "summary": "Watches a run",
            "description": f"Every change of a run until it has ended. {_STREAMED}",
            "parameters": [{**_ID, "description": "Id of the run."}, _RESUME],
            **_stream(answers, *_READ_REFUSALS, "NOT_FOUND"),
        },
        ("GET", "/api/v1/events"): {
            "operationId": "watch_events",
            "tags": [EVENTS],
            "summary": "Watches what happens in the account",
            "description": f"What the caller may read, of all sites or of one. {_STREAMED}",
            "parameters": [
                {"$ref": "#/components/parameters/X-Site-Id"},
                {"$ref": "#/components/parameters/X-Sector-Id"},
                _RESUME,
            ],
            **_stream(answers, *_READ_REFUSALS),
        },
        ("GET", "/healthz"): _health(
            answers, "get_liveness", "Whether the gateway lives", "alive", ()
        ),
        ("GET", "/readyz"): _health(
            answers,
            "get_readiness",
            "Whether every service behind the gateway answers",
            "ready",
            ("UNAVAILABLE",),
        ),
    }


def _image_file(answers: Answers) -> Schema:
    headers = {
        **header_references(["X-Request-Id", "ETag"]),
        "Cache-Control": {"description": "A file never changes.", "schema": {"type": "string"}},
    }
    content = dict.fromkeys((*_MEDIA_TYPES, "application/octet-stream"), _BINARY)
    return {
        "operationId": "get_image_file",
        "tags": ["Image"],
        "summary": "Returns the file of a generated image",
        "description": "Public by id: an id cannot be guessed, and published articles show their "
        "pictures to everyone.",
        "parameters": [
            _ID,
            {
                "name": "If-None-Match",
                "in": "header",
                "description": "The `ETag` of the file that the client has.",
                "schema": {"type": "string", "pattern": '^(W/)?"[!#-~]{1,100}"$'},
            },
        ],
        "responses": {
            "200": {"description": "The file.", "headers": headers, "content": content},
            "304": {"description": "The client has the file.", "headers": headers},
            **answers.refusals_of(
                ("NOT_FOUND", *codes.everywhere(), "UNAVAILABLE", "DEADLINE_EXCEEDED")
            ),
        },
        "security": [],
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


def _health(
    answers: Answers, name: str, summary: str, status: str, refusals: tuple[str, ...]
) -> Schema:
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
