"""Which fields of a JSON body are at fault, once the converter has refused it.

The converter alone decides what fits; here its refusal is narrowed down by offering it one
field at a time. Runs only for requests that are refused anyway, within bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson
from protobuf import DescField, DescMessage

from chassis.errors import InvalidFields, Refusal, Violation
from gateway.http import errors
from gateway.transcoding import bodies
from gateway.transcoding.fields import CONVERSION_ERRORS, element_of, expected, is_list

FAULTS_MAX = 20
"""Faults named in one answer."""
PROBES_MAX = 500
"""Fields looked at in one body."""
NAME_CHARS_MAX = 100
NOT_AN_OBJECT = "The body must be a JSON object."


def refusal_for(desc: DescMessage, body: bytes) -> Refusal:
    """Why `body` is not a `desc`; the faulty fields where they can be told."""
    value = bodies.loads(body)
    if not isinstance(value, dict):
        return errors.malformed(NOT_AN_OBJECT)
    found = tuple(islice(_Search().faults(desc, value, ""), FAULTS_MAX))
    if not found:
        return errors.malformed("The body does not have the form that is expected here.")
    return InvalidFields(*found)


def nul_in(value: Any, path: str = "") -> str | None:
    """Path of the first text that contains U+0000, which no database keeps."""
    if isinstance(value, str):
        return path if "\x00" in value else None
    if isinstance(value, dict):
        pairs: Any = (
            (key, f"{path}.{key}" if path else key, inner) for key, inner in value.items()
        )
        for key, inner_path, inner in pairs:
            found = inner_path if "\x00" in key else nul_in(inner, inner_path)
            if found is not None:
                return found.replace("\x00", "")
    if isinstance(value, list):
        for index, inner in enumerate(value):
            found = nul_in(inner, f"{path}[{index}]")
            if found is not None:
                return found
    return None


class _Search:
    def __init__(self) -> None:
        self._probes = 0

    def faults(self, desc: DescMessage, value: dict[str, Any], prefix: str) -> Iterator[Violation]:
        known = {name: field for field in desc.fields for name in (field.name, field.json_name)}
        for key, inner in value.items():
            field = known.get(key)
            if field is None:
                yield Violation(f"{prefix}{key[:NAME_CHARS_MAX]}", "is not a known field")
            elif not self._fits(desc, key, inner):
                yield from self._narrow(desc, field, inner, f"{prefix}{field.name}")

    def _narrow(
        self, desc: DescMessage, field: DescField, value: Any, path: str
    ) -> Iterator[Violation]:
        if is_list(field):
            if not isinstance(value, list):
                yield Violation(path, "must be a list")
                return
            for index, item in enumerate(value):
                if not self._fits(desc, field.name, [item]):
                    yield from self._item(field, item, f"{path}[{index}]")
            return
        yield from self._item(field, value, path)

    def _item(self, field: DescField, value: Any, path: str) -> Iterator[Violation]:
        element = element_of(field)
        if (
            isinstance(element, DescMessage)
            and not element.type_name.startswith("google.protobuf.")
            and isinstance(value, dict)
        ):
            yield from self.faults(element, value, f"{path}.")
            return
        yield Violation(path, expected(field))

    def _fits(self, desc: DescMessage, key: str, value: Any) -> bool:
        self._probes += 1
        if self._probes > PROBES_MAX:
            return True
        message: Any = desc.type
        try:
            message.from_json(orjson.dumps({key: value})).to_binary()
        except CONVERSION_ERRORS:
            return False
        return True
