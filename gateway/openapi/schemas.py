"""Messages as JSON Schema: what is answered, and what may be sent.

An answer carries every field but absent messages and absent `optional` ones. A request leaves
out what only the service sets, and null means: not given.
"""

from __future__ import annotations

from collections.abc import Iterable

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueMap,
    DescMessage,
    ScalarType,
)

from gateway.contracts import Contracts
from gateway.openapi import examples, rules
from gateway.openapi.comments import Comments
from gateway.openapi.names import Components, reference, type_name
from gateway.openapi.rules import Schema
from gateway.transcoding.fields import Element, element_of, is_list

INPUT = "Input"
"""Ends the name of what is sent where it differs from what is answered."""
_SAYS_NOTHING = "Request of"
"""Begins the comment of a request, which has the operation to explain it."""
_WHOLE_POSITIVE = {"type": "integer", "format": "uint32", "minimum": 0}
_WHOLE_32 = {"type": "integer", "format": "int32"}
# Proto JSON writes 64-bit numbers as strings: not every reader of JSON keeps their digits.
_WHOLE_64 = {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
_SCALARS: dict[ScalarType, Schema] = {
    ScalarType.STRING: {"type": "string"},
    ScalarType.BOOL: {"type": "boolean"},
    ScalarType.BYTES: {"type": "string", "contentEncoding": "base64"},
    ScalarType.DOUBLE: {"type": "number", "format": "double"},
    ScalarType.FLOAT: {"type": "number", "format": "float"},
    **dict.fromkeys((ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32), _WHOLE_32),
    **dict.fromkeys((ScalarType.UINT32, ScalarType.FIXED32), _WHOLE_POSITIVE),
    **dict.fromkeys(
        (
            ScalarType.INT64,
            ScalarType.SINT64,
            ScalarType.SFIXED64,
            ScalarType.UINT64,
            ScalarType.FIXED64,
        ),
        _WHOLE_64,
    ),
}
_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {
        "type": "string",
        "format": "date-time",
        "examples": [examples.TIME],
    },
    "google.protobuf.Duration": {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Value": {},
    "google.protobuf.Any": {"type": "object", "additionalProperties": True},
    "google.protobuf.Empty": {"type": "object"},
}


class Schemas:
    """Makes schemas and keeps those that have names."""

    def __init__(self, contracts: Contracts, comments: Comments) -> None:
        self._contracts = contracts
        self._comments = comments
        self.components = Components()

    def answered(self, desc: DescMessage) -> Schema:
        """A message as the gateway writes it."""
        name = type_name(desc)
        if self.components.claim(name, desc.type_name):
            self.components.schemas[name] = schema = self._object(desc)
            schema["properties"] = {
                field.name: self._property(field, self._answered_value(field))
                for field in desc.fields
            }
            always = [f.name for f in desc.fields if f.presence.name == rules.IMPLICIT]
            if always:
                schema["required"] = always
        return reference(name)

    def sent(self, desc: DescMessage) -> Schema:
        """A message inside a body."""
        name = type_name(desc) + INPUT
        if self.components.claim(name, desc.type_name):
            self.components.schemas[name] = {}
            self.components.schemas[name] = self.given(desc, omitted=(), partial=False)
        return reference(name)

    def given(self, desc: DescMessage, *, omitted: Iterable[str], partial: bool) -> Schema:
        """A body with what a client sets of `desc`; nothing is needed in a `partial` one."""
        schema = self._object(desc)
        properties: Schema = {}
        needed = []
        for field in desc.fields:
            if field.name in omitted or self._contracts.is_output_only(field):
                continue
            value = self.value(field)
            if rules.is_needed(self._contracts, field) and not partial:
                needed.append(field.name)
            else:
                value = nullable(value)
            properties[field.name] = self._property(field, value)
        schema |= {"properties": properties, "additionalProperties": False}
        if needed:
            schema["required"] = needed
        return schema

    def value(self, field: DescField) -> Schema:
        """What may be sent as a field, in a body or (of no message but a time) as a parameter."""
        bounds = rules.constraints(self._contracts, field)
        if isinstance(field.value, DescFieldValueMap):
            return {"type": "object", **bounds}
        of_items = bounds.pop("items", {}) if is_list(field) else bounds
        element = element_of(field)
        if isinstance(element, DescEnum):
            one = self._choice(element, field)
        elif isinstance(element, DescMessage):
            one = _well_known(element) or self.sent(element)
        else:
            one = {**_scalar(element), **of_items}
            if one.get("type") == "integer":
                rules.within_int32(one)
        return {"type": "array", "items": one, **bounds} if is_list(field) else one

    def describe(self, field: DescField) -> str:
        """The field's comment."""
        return self._comments.of_field(field)

    def _answered_value(self, field: DescField) -> Schema:
        if isinstance(field.value, DescFieldValueMap):
            return {"type": "object", "additionalProperties": True}
        element = element_of(field)
        if isinstance(element, DescEnum):
            one = self._enum(element, type_name(element), [v.name for v in element.values])
        elif isinstance(element, DescMessage):
            one = _well_known(element) or self.answered(element)
        else:
            one = _scalar(element)
        return {"type": "array", "items": one} if is_list(field) else one

    def _choice(self, enum: DescEnum, field: DescField) -> Schema:
        """The values that a client may name; never the one for `not given`."""
        all_named = [value.name for value in enum.values if value.number != 0]
        named = [
            value.name
            for value in enum.values
            if value.number != 0 and rules.allows(self._contracts, field, value.number)
        ]
        if named != all_named:
            return {"type": "string", "enum": named}
        return self._enum(enum, type_name(enum) + INPUT, named)

    def _enum(self, enum: DescEnum, name: str, values: list[str]) -> Schema:
        if self.components.claim(name, enum.type_name):
            scope = enum.type_name
            lines = [f"- `{v}`: {self._comments.of(f'{scope}.{v}')}" for v in values]
            text = self._comments.of(scope)
            self.components.schemas[name] = {
                "type": "string",
                "description": "\n".join([text, "", *lines]).strip(),
                "enum": values,
            }
        return reference(name)

    def _object(self, desc: DescMessage) -> Schema:
        text = self._comments.of(desc.type_name)
        if not text or text.startswith(_SAYS_NOTHING):
            return {"type": "object"}
        return {"type": "object", "description": text}

    def _property(self, field: DescField, value: Schema) -> Schema:
        described = dict(value)
        text = self.describe(field)
        if text:
            described["description"] = text
        shown = examples.of_text(field.name)
        if element_of(field) is ScalarType.STRING and not is_list(field) and shown:
            described.setdefault("examples", [shown])
        return described


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    if "anyOf" in schema:
        kind = schema.get("type", "string")
        return {**schema, "type": [kind, "null"], "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema


def _well_known(desc: DescMessage) -> Schema | None:
    found = _WELL_KNOWN.get(desc.type_name)
    return None if found is None else dict(found)


def _scalar(element: Element | None) -> Schema:
    assert isinstance(element, ScalarType)
    return dict(_SCALARS[element])
