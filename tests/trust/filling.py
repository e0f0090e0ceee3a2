"""Requests that are complete and allowed by the rules of the contract, made from descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2e.people import unique
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from trust.contract import SECRETS, WORDS, Method, Slot, message_class, rules_of

PASSWORD = "another horse battery"
LATER = "2100-01-01T00:00:00Z"
_NUMBERS = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_DOUBLE}


def fields(
    method: Method, names: Mapping[str, str], put: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The JSON of a request with what it needs, things named as `names` says by their kind.

    `put` says by the slot's name what else to send. A list gets it beside the thing that would
    have been there, so that one of many is foreign.
    """
    put, filled = put or {}, {}
    for slot in method.slots:
        changes = method.verb == "PATCH" and slot.desc.has_presence and not slot.desc.message_type
        if slot.is_needed or slot.name in put or (changes and not slot.is_inert):
            _set(filled, slot, _values(slot, names, put.get(slot.name)))
    return filled


def message(method: Method, filled: Mapping[str, Any]) -> Any:
    """The same as a protobuf message."""
    return json_format.ParseDict(filled, message_class(method.request)())


def _values(slot: Slot, names: Mapping[str, str], given: str | None) -> Any:
    usual = names[slot.kind] if slot.kind else _plain(slot)
    if not slot.desc.is_repeated:
        return usual if given is None else given
    return [usual] if given is None else [usual, given]


def _set(filled: dict[str, Any], slot: Slot, value: Any) -> None:
    place = filled
    for step, is_list in zip(slot.path[:-1], slot.lists[:-1], strict=True):
        inner = place.setdefault(step, [{}] if is_list else {})
        place = inner[0] if is_list else inner
    place[slot.path[-1]] = value


def _plain(slot: Slot) -> Any:
    """Something allowed that names nothing."""
    desc, rules = slot.desc, rules_of(slot.desc)
    if desc.enum_type is not None:
        numbers = [value.number for value in desc.enum_type.values if value.number]
        allowed = getattr(rules.enum, "in") or numbers
        return next(each for each in numbers if each in allowed)
    if desc.message_type is not None:
        return LATER
    if desc.type in _NUMBERS:
        return max(1, rules.int32.gte)
    if desc.type == FieldDescriptor.TYPE_BOOL:
        return True
    if desc.name in SECRETS:
        return PASSWORD
    if desc.name == "email":
        return f"{unique('somebody')}@example.com"
    return unique("Name") if desc.name == "name" else WORDS[desc.name]
