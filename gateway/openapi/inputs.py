"""What a request may carry: path, query, headers and body of one operation."""

from __future__ import annotations

import re
from collections.abc import Iterator

from protobuf import DescField, DescMessage

from chassis.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from gateway.contracts import Binding, Contracts
from gateway.openapi import examples, rules
from gateway.openapi.names import reference, type_name
from gateway.openapi.responses import JSON
from gateway.openapi.rules import Schema
from gateway.openapi.schemas import Schemas, nullable
from gateway.transcoding.binding import ID_CHARS_MAX, SCOPE_HEADERS, WHOLE
from gateway.transcoding.fields import element_of
from gateway.transcoding.parameters import PAGE, SCOPE, Parameters

PATH_NAMES = re.compile(r"\{([a-z0-9_]+)\}")
_BY_HEADER = ("request_id", "etag")
"""Fields of a request that headers fill."""
_BY_KEYS = "update_mask"
"""Made from the keys of the body."""
# No dot at the beginning: clients resolve `.` and `..` away.
SEGMENT = "^[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}$"
_REVISION = '^(\\*|(W/)?"[!#-+\\x2D-~]{{1,{}}}(-[0-9a-f]{{8}})?")$'
_CHECKSUM_CHARS = 9
"""Of what is shown, after the revision of the row."""
_KEY = f"^[!-~]([ -~]{{0,{ID_CHARS_MAX - 2}}}[!-~])?$"
_ORDERS = re.compile(r"^(?:One of )?([a-z_]+(?:, [a-z_]+)*); a leading `-`")
_CONTINUES = (
    "Where the page before ended, as its `next` says; bound to the same filters and order. Empty "
    "(`page_token=`) begins at the first row, and `next` goes on by token: nothing comes twice or "
    "is left out while others add and delete, as it may be with `page`."
)
_CHOOSES = {
    "site_id": "Chooses the site; the same as the header `X-Site-Id`.",
    "sector_id": "Chooses the sector; the same as the header `X-Sector-Id`.",
}


class Inputs:
    """Describes what operations take."""

    def __init__(self, contracts: Contracts, schemas: Schemas) -> None:
        self._contracts = contracts
        self._schemas = schemas

    def parameters(self, binding: Binding) -> list[Schema]:
        """Path, query and headers, in this order."""
        return [*self._path(binding), *self._query(binding), *self._headers(binding)]

    def body(self, binding: Binding) -> Schema | None:
        """The body of an operation that takes one."""
        if not binding.body:
            return None
        request = binding.method.request
        name = type_name(request)
        components = self._schemas.components
        if components.claim(name, request.type_name):
            components.schemas[name] = self._body(binding)
        schema = components.schemas[name]
        return {
            "required": "required" in schema or "minProperties" in schema,
            "content": {
                JSON: {
                    "schema": reference(name),
                    "example": self._example(schema),
                }
            },
        }

    def _body(self, binding: Binding) -> Schema:
        desc = binding.method.request
        omitted = {*PATH_NAMES.findall(binding.template), *_BY_HEADER, _BY_KEYS}
        partial = False
        if binding.body != WHOLE:
            field = next(field for field in desc.fields if field.name == binding.body)
            inner = element_of(field)
            assert isinstance(inner, DescMessage)
            desc, partial, omitted = inner, binding.verb == "PATCH", set()
        schema = self._schemas.given(desc, omitted=omitted, partial=partial)
        if binding.verb == "PATCH":
            # What names nothing to change is refused.
            schema["minProperties"] = 1
        if binding.method.access != "public":
            for name in SCOPE:
                if name not in schema["properties"] and name not in omitted:
                    schema["properties"][name] = nullable(_scope(name, binding))
        return schema

    def _example(self, schema: Schema) -> object:
        """What must be sent and whatever has a telling example, but no optional references."""
        shown = {
            name: inner
            for name, inner in schema["properties"].items()
            if name in schema.get("required", ())
            or ("examples" in inner and not name.endswith(("_id", "_time")))
        }
        return examples.of_schema(
            {"type": "object", "properties": shown}, self._schemas.components.schemas
        )

    def _path(self, binding: Binding) -> Iterator[Schema]:
        fields = {field.name: field for field in binding.method.request.fields}
        for name in PATH_NAMES.findall(binding.template):
            rule = rules.constraints(self._contracts, fields[name])
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": self._schemas.describe(fields[name]),
                "schema": {"type": "string", "pattern": SEGMENT, **rule},
                "example": examples.ID,
            }

    def _query(self, binding: Binding) -> Iterator[Schema]:
        request = binding.method.request
        paths = PATH_NAMES.findall(binding.template)
        whole = [field.name for field in request.fields] if binding.body == WHOLE else []
        known = Parameters(request, {*paths, binding.body, *whole})
        for name, field in sorted(known.fields.items()):
            yield self._parameter(name, field)
        if known.paged:
            yield self._page(request)
        if binding.method.access != "public":
            taken = {field.name: field for field in request.fields}
            for name in SCOPE:
                if name in paths:
                    continue
                schema = _scope(name, binding)
                if name in taken:
                    schema["description"] = self._schemas.describe(taken[name])
                yield _parameter(name, "query", schema)

    def _parameter(self, name: str, field: DescField) -> Schema:
        schema = dict(self._schemas.value(field))
        text = self._schemas.describe(field)
        if name == "ordering":
            schema = {"type": "string", "enum": orders(text)}
        elif name == "page_size":
            schema |= {"minimum": 1, "maximum": PAGE_SIZE_MAX, "default": PAGE_SIZE_DEFAULT}
            text = "Rows in a page."
        elif name == "page_token":
            text = _CONTINUES
        return _parameter(name, "query", {**schema, "description": text})

    def _page(self, request: DescMessage) -> Schema:
        skip = next(field for field in request.fields if field.name == "skip")
        rows = self._contracts.maximum(skip) or 0
        text = (
            f"Number of the page. At most {rows:,} rows can be left out before it; "
            "from there on continue with `page_token`, as `next` does. Not with `page_token`."
        )
        schema = {"type": "integer", "minimum": 1, "maximum": rows + 1, "default": 1}
        return _parameter(PAGE, "query", {**schema, "description": text})

    def _headers(self, binding: Binding) -> Iterator[Schema]:
        if binding.method.access != "public":
            for header in SCOPE_HEADERS.values():
                yield {"$ref": f"#/components/parameters/{header[1]}"}
        fields = {field.name: field for field in binding.method.request.fields}
        if "request_id" in fields:
            needed = rules.is_needed(self._contracts, fields["request_id"])
            name = "Idempotency-Key" + ("-Required" if needed else "")
            yield {"$ref": f"#/components/parameters/{name}"}
        elif binding.verb == "GET" and has_revision(binding.method.response):
            yield {"$ref": "#/components/parameters/If-None-Match"}
        if "etag" in fields:
            yield self._revision(fields["etag"])

    def _revision(self, field: DescField) -> Schema:
        rule = rules.constraints(self._contracts, field)
        text = (
            "The `ETag` that was read: refused with `ETAG_MISMATCH` when the resource has changed "
            "since. `*` fits any."
        )
        revision_max = rule.get("maxLength", ID_CHARS_MAX) - _CHECKSUM_CHARS
        pattern = _REVISION.format(max(1, revision_max))
        schema = {"type": "string", "pattern": pattern, "description": text}
        return {**_parameter("If-Match", "header", schema), "example": f'"{examples.ETAG}"'}


def has_revision(desc: DescMessage) -> bool:
    """Whether a message is a resource with a revision, which its answers carry as `ETag`."""
    return any(field.name == "etag" for field in desc.fields)


def orders(comment: str) -> list[str]:
    """The orders that a list knows, out of the comment of `order_by`. Raises ValueError."""
    found = _ORDERS.match(comment)
    if found is None:
        raise ValueError(f"the orders cannot be read out of: {comment}")
    return [f"{sign}{name}" for name in found[1].split(", ") for sign in ("", "-")]


def shared_parameters() -> dict[str, Schema]:
    """Headers that many operations take, by the name of their component."""
    key = _parameter(
        "Idempotency-Key",
        "header",
        {
            "type": "string",
            "pattern": _KEY,
            "description": "Makes the call repeatable: the same key and body are answered alike, "
            "another body under the key is refused with `REQUEST_ID_REUSED`.",
        },
    )
    scope = {
        header: _parameter(
            header, "header", {**_identifier(), "description": _CHOOSES[name].split(";")[0] + "."}
        )
        for name, (_, header) in SCOPE_HEADERS.items()
    }
    required = {**key, "required": True}
    return {
        "Idempotency-Key": key,
        "Idempotency-Key-Required": required,
        "If-None-Match": _parameter(
            "If-None-Match",
            "header",
            {
                "type": "string",
                "description": "The `ETag` of what the client has: it is not sent again.",
            },
        ),
        **scope,
    }


def _scope(name: str, binding: Binding) -> Schema:
    text = _CHOOSES[name]
    if binding.method.needs_sector:
        text += " Required in one of these places, in the query or in the body."
    return {**_identifier(), "description": text}


def _identifier() -> Schema:
    return {"type": "string", "maxLength": ID_CHARS_MAX, "examples": [examples.ID]}


def _parameter(name: str, place: str, schema: Schema) -> Schema:
    text = schema.pop("description", "")
    return {"name": name, "in": place, "description": text, "schema": schema}
