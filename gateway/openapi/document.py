"""The whole document: OpenAPI 3.1, from the contracts and the routes that the gateway serves."""

from __future__ import annotations

from collections.abc import Collection
from importlib import metadata

from gateway.contracts import Contracts
from gateway.http.bounds import BOUNDS, Bounds
from gateway.http.routes import Route
from gateway.openapi import beside
from gateway.openapi.inputs import shared_parameters
from gateway.openapi.operations import Operations
from gateway.openapi.responses import ERROR, HEADERS
from gateway.openapi.rules import Schema
from gateway.transcoding.bodies import DEPTH_MAX
from gateway.transcoding.parameters import PARAMETERS_MAX

PACKAGE = "writer"
_ABOUT = f"""\
Turns briefs into published, illustrated articles.

**Answers** have one shape: `{{"success": true, "data": …, "request_id": …}}`, lists `count`,
`next`, `previous` and `results`, refusals
`{{"success": false, "error": …, "code": …, "errors": …}}`. `code` is stable; `errors` names the
fields at fault.

**Lists** take `page` and `page_size`, or `page_token` for any depth; follow `next`. Who reads a
whole list while others write begins with an empty `page_token=`.

**Scope**: `site_id` and `sector_id` in the query or the body, or the headers `X-Site-Id` and
`X-Sector-Id`, choose what a call is about. What is given twice must be the same. Operators act on
another account with `X-Acting-Account` and `X-Acting-Reason`; both are recorded.

**Repeating**: send an `Idempotency-Key` with every call that creates or charges; a repeat is
answered alike and does nothing more. `If-Match` with the `ETag` that was read refuses to change
what somebody else has changed.

**Bodies** are JSON of at most {{body_bytes:,}} bytes and {DEPTH_MAX} levels, text without U+0000;
null means: not given, and in a PATCH: emptied, which is refused where something is needed. Unknown
fields are refused. Those that only the service sets are ignored where something is created; a PATCH
names what it changes, and nothing else. A query has at most {PARAMETERS_MAX} parameters. A trailing
slash means nothing."""
_SCHEMES: dict[str, Schema] = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The `access_token` that login answers; for people.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`ApiKey`, a space and the key; for programs.",
    },
}


def build(
    contracts: Contracts,
    routes: Collection[Route],
    *,
    public_url: str = "",
    bounds: Bounds = BOUNDS,
    event_types: Collection[str] = (),
) -> dict[str, object]:
    """The document about those routes; streams tell events of `event_types`.

    Raises ContractError or ValueError for a bad contract.
    """
    served = [each for each in contracts.bindings if (each.verb, each.template) in routes]
    operations = Operations(contracts, served)
    paths: dict[str, dict[str, Schema]] = {}
    for binding in served:
        paths.setdefault(binding.template, {})[binding.verb.lower()] = operations.describe(binding)
    others = beside.operations(operations.answers, event_types)
    tags = {str(tag["name"]): tag for tag in operations.tags()}
    for (verb, template), operation in others.items():
        if (verb, template) not in routes:
            continue
        paths.setdefault(template, {})[verb.lower()] = operation
        for name in operation["tags"]:
            tags.setdefault(name, {"name": name, "description": beside.TAGS.get(name, "")})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The Writer",
            "version": metadata.version(PACKAGE),
            "description": _ABOUT.replace("{body_bytes:,}", f"{bounds.body_bytes:,}"),
        },
        "servers": [{"url": public_url or "/"}],
        "tags": sorted(tags.values(), key=lambda tag: str(tag["name"])),
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {
                **dict(sorted(operations.schemas.components.schemas.items())),
                "Error": ERROR,
            },
            "responses": dict(sorted(operations.answers.refusals.items())),
            "parameters": shared_parameters(),
            "headers": HEADERS,
            "securitySchemes": _SCHEMES,
        },
    }
