"""Requests against the rules of their contract, with fields named as the contract spells them.

NUL is refused in every text: PostgreSQL cannot store it, and no text of ours needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import protovalidate
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from chassis.errors import InvalidFields, Violation

VIOLATIONS_MAX = 25
"""Told at most; a list with thousands of bad items needs no more to be mended."""
NUL = "\0"


def check(validator: protovalidate.Validator, request: Message) -> None:
    """Raises InvalidFields, with reason TOO_MANY_ITEMS where a list is too long."""
    found = validator.collect_violations(request)
    violations = [Violation(_path(v.proto), v.proto.message) for v in found[:VIOLATIONS_MAX]]
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
