"""Requests against the rules of their contract, with fields named as the contract spells them.

What is broken is told for people, by the rule's id; a rule that the table lacks keeps its words.
NUL is refused in every text: PostgreSQL cannot store it, and no text of ours needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import protovalidate
from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from chassis.errors import InvalidFields, Violation

VIOLATIONS_MAX = 25
"""Told at most; a list with thousands of bad items needs no more to be mended."""
VALUES_MAX = 20
"""Values of an enum that are listed."""
NUL = "\0"
_VALIDATOR = protovalidate.Validator()
"""One for the process: it compiles the rules of a message when it first meets one."""
_SOMETHING = r"\S"
"""The pattern of a text that is more than blanks."""


def check(request: Message) -> None:
    """Raises InvalidFields, with reason TOO_MANY_ITEMS where a list is too long."""
    found = _VALIDATOR.collect_violations(request)
    # Two rules may say the same, such as the length and the pattern of a blank title.
    violations = list(
        dict.fromkeys(
            Violation(_path(v.proto), _words(request.DESCRIPTOR, v.proto))
            for v in found[:VIOLATIONS_MAX]
        )
    )
    # Most requests hold no zero byte anywhere; only the others are looked through.
    if not violations and b"\0" in request.SerializeToString():
        violations = [Violation(path, "must not contain NUL") for path in _with_nul(request)]
    if violations:
        rules = {v.proto.rule_id for v in found}
        reason = "TOO_MANY_ITEMS" if "repeated.max_items" in rules else "INVALID_FIELDS"
        raise InvalidFields(*violations[:VIOLATIONS_MAX], reason=reason)


def _path(violation: Any) -> str:
    """Such as `task.title` or `ids[3]`."""
    if violation.field is None:
        return ""
    parts = []
    for element in violation.field.elements:
        subscript = getattr(element, "subscript", None)
        index = getattr(subscript, "value", None) if subscript is not None else None
        parts.append(element.field_name + (f"[{index}]" if isinstance(index, int) else ""))
    return ".".join(parts)


def _words(message: Any, violation: Any) -> str:
    words, field = _WORDS.get(violation.rule_id), _at_fault(message, violation)
    if words is None or field is None:
        return str(violation.message)
    rules: Any = field.GetOptions().Extensions[validate_pb2.field]
    for element in violation.rule.elements[:-1]:
        rules = getattr(rules, element.field_name)
    return words(rules, field)


def _at_fault(message: Any, violation: Any) -> FieldDescriptor | None:
    """The field at fault; None inside of maps, whose entries have no rules of their own."""
    found: FieldDescriptor | None = None
    for element in violation.field.elements if violation.field else ():
        inner = found.message_type if found is not None else message
        if inner is None or inner.GetOptions().map_entry:
            return None
        found = inner.fields_by_name[element.field_name]
    return found


def _too_short(rules: Any, _field: FieldDescriptor) -> str:
    if rules.min_len > 1:
        return f"must have at least {rules.min_len} characters"
    return "must not be blank" if rules.pattern == _SOMETHING else "must not be empty"


def _no_match(rules: Any, _field: FieldDescriptor) -> str:
    if rules.pattern == _SOMETHING:
        return "must not be blank"
    return f"must match the pattern {rules.pattern}"


def _too_few(rules: Any, _field: FieldDescriptor) -> str:
    if rules.min_items > 1:
        return f"must have at least {rules.min_items} items"
    return "must not be empty"


def _not_a_value(rules: Any, field: FieldDescriptor) -> str:
    assert field.enum_type is not None
    # Zero means `not given`: nobody would name it.
    numbers = set(getattr(rules, "in")) or set(field.enum_type.values_by_number)
    numbers -= {0, *rules.not_in}
    allowed = [v.name for v in field.enum_type.values if v.number in numbers]
    if len(allowed) > VALUES_MAX:
        return "is not a known value"
    return f"must be one of {', '.join(allowed)}"


_WORDS: dict[str, Callable[[Any, FieldDescriptor], str]] = {
    "required": lambda _rules, _field: "is required",
    "string.min_len": _too_short,
    "string.max_len": lambda rules, _field: f"must have at most {rules.max_len} characters",
    "string.pattern": _no_match,
    "string.uuid": lambda _rules, _field: "must be a UUID",
    "string.uuid_empty": lambda _rules, _field: "must not be empty",
    "string.email": lambda _rules, _field: "must be an e-mail address",
    "string.email_empty": lambda _rules, _field: "must not be empty",
    "int32.gte": lambda rules, _field: f"must be at least {rules.gte}",
    "int32.lte": lambda rules, _field: f"must be at most {rules.lte}",
    "int32.gte_lte": lambda rules, _field: f"must be from {rules.gte} to {rules.lte}",
    "enum.defined_only": _not_a_value,
    "enum.in": _not_a_value,
    "enum.not_in": _not_a_value,
    "repeated.min_items": _too_few,
    "repeated.max_items": lambda rules, _field: f"must have at most {rules.max_items} items",
    "repeated.unique": lambda _rules, _field: "must not repeat an item",
}
"""Words by the id of the rule, from the rules of its kind and the field."""


def _with_nul(message: Message, prefix: str = "") -> Iterator[str]:
    """Paths of texts with a NUL; the parser has bounded the depth."""
    for field, value in message.ListFields():
        for path, item in _items(field, value, prefix + field.name):
            if isinstance(item, str):
                if NUL in item:
                    yield path
            elif isinstance(item, Message):
                yield from _with_nul(item, f"{path}.")


def _items(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        for key in value:
            yield path, key
            # A key with a NUL would carry it into the path.
            yield f"{path}[{str(key).replace(NUL, '')}]", value[key]
    elif field.is_repeated:
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(value))
    else:
        yield path, value
