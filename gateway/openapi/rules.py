"""Field rules (protovalidate) as JSON Schema, and whether a field may be left out."""

from __future__ import annotations

from typing import Any

from protobuf import DescField, Message

from gateway.contracts import Contracts
from gateway.transcoding.fields import INT32_MAX, INT32_MIN

_UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
# Of HTML's `input type=email`, which protovalidate follows.
_EMAIL = (
    "^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    "(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"
)
_WELL_KNOWN: dict[str, dict[str, str]] = {
    "uuid": {"format": "uuid", "pattern": _UUID},
    # Without its format: that of RFC 5322 is another one.
    "email": {"pattern": _EMAIL},
    "uri": {"format": "uri"},
    "hostname": {"format": "hostname"},
    "ip": {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},  # type: ignore[dict-item]
}
# RE2's \S knows ASCII's white space only; the engines that read JSON Schema know more.
_RE2_CLASSES = {"\\S": "[^\\t\\n\\f\\r ]", "\\s": "[\\t\\n\\f\\r ]"}

IMPLICIT = "IMPLICIT"
"""Presence of a field that is always there, if only with its zero value."""

Schema = dict[str, Any]


def constraints(contracts: Contracts, field: DescField) -> Schema:
    """Keywords for what the rules of a field allow; `items` holds those of a list's items."""
    rules = contracts.rules(field)
    if rules is None or rules.type is None:
        return {}
    schema = _typed(rules.type.field, rules.type.value)
    if rules.type.field == "string" and rules.ignore.name == "IF_ZERO_VALUE" and schema:
        return {"anyOf": [{"const": ""}, schema]}
    return schema


def is_needed(contracts: Contracts, field: DescField) -> bool:
    """Whether leaving the field out is refused.

    A field without presence is checked even when it was not sent, with its zero value.
    """
    if contracts.is_required(field):
        return True
    rules = contracts.rules(field)
    if rules is None:
        return False
    if rules.required:
        return True
    if (
        rules.type is None
        or rules.ignore.name == "IF_ZERO_VALUE"
        or field.presence.name != IMPLICIT
    ):
        return False
    return not _fits_zero(rules.type.field, rules.type.value)


def allows(contracts: Contracts, field: DescField, number: int) -> bool:
    """Whether the rules of a field take this value of its enum."""
    rules = contracts.rules(field)
    if rules is None or rules.type is None or rules.type.field != "enum":
        return True
    return _takes(rules.type.value, number)


def _typed(kind: str, rules: Any) -> Schema:
    if kind == "string":
        return _string(rules)
    if kind == "repeated":
        return _repeated(rules)
    if kind == "map":
        return _named(rules, min_pairs="minProperties", max_pairs="maxProperties")
    if kind in {"int32", "int64", "uint32", "uint64", "sint32", "double", "float"}:
        return _number(rules)
    return {}


def _string(rules: Any) -> Schema:
    schema = _named(rules, min_len="minLength", max_len="maxLength")
    if rules.has_field("len"):
        schema["minLength"] = schema["maxLength"] = rules.len
    if rules.well_known is not None and rules.well_known.value:
        schema |= _WELL_KNOWN.get(rules.well_known.field, {})
    if rules.has_field("pattern"):
        pattern = rules.pattern
        for re2, plain in _RE2_CLASSES.items():
            pattern = pattern.replace(re2, plain)
        schema["pattern"] = pattern
    if rules.in_:
        schema["enum"] = list(rules.in_)
    if rules.not_in:
        schema["not"] = {"enum": list(rules.not_in)}
    return schema


def _repeated(rules: Any) -> Schema:
    schema = _named(rules, min_items="minItems", max_items="maxItems")
    if rules.unique:
        schema["uniqueItems"] = True
    inner = rules.items
    if inner is not None and inner.type is not None:
        found = _typed(inner.type.field, inner.type.value)
        if found:
            schema["items"] = found
    return schema


def _number(rules: Any) -> Schema:
    schema: Schema = {}
    lower, upper = rules.greater_than, rules.less_than
    if lower is not None:
        schema["minimum" if lower.field == "gte" else "exclusiveMinimum"] = lower.value
    if upper is not None:
        schema["maximum" if upper.field == "lte" else "exclusiveMaximum"] = upper.value
    if rules.in_:
        schema["enum"] = list(rules.in_)
    if rules.not_in:
        schema["not"] = {"enum": list(rules.not_in)}
    return schema


def within_int32(schema: Schema) -> Schema:
    """Bounds of a whole number, those of 32 bits where the rules give none."""
    if "minimum" not in schema and "exclusiveMinimum" not in schema:
        schema["minimum"] = INT32_MIN
    if "maximum" not in schema and "exclusiveMaximum" not in schema:
        schema["maximum"] = INT32_MAX
    return schema


def _fits_zero(kind: str, rules: Any) -> bool:
    if kind == "string":
        schema = _string(rules)
        return not (schema.get("minLength") or schema.keys() & {"pattern", "format", "enum"})
    if kind == "repeated":
        return not rules.min_items
    if kind == "enum":
        return _takes(rules, 0)
    schema = _typed(kind, rules)
    above = schema.get("minimum", 0) <= 0 and schema.get("exclusiveMinimum", -1) < 0
    below = schema.get("maximum", 0) >= 0 and schema.get("exclusiveMaximum", 1) > 0
    return above and below and 0 not in schema.get("not", {}).get("enum", ())


def _takes(rules: Any, number: int) -> bool:
    return number not in rules.not_in and (not rules.in_ or number in rules.in_)


def _named(rules: Message, **names: str) -> Schema:
    return {
        keyword: getattr(rules, name) for name, keyword in names.items() if rules.has_field(name)
    }
