"""JSON to message and message to JSON: canonical proto JSON with the contract's field names.

The converter is native (protobuf-py). What it refuses is INVALID_FIELDS; `faults`
finds out which fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson
from protobuf import DescMessage, Message, ScalarType

from chassis.errors import Refusal
from gateway.http import errors
from gateway.transcoding import bodies, faults
from gateway.transcoding.fields import CONVERSION_ERRORS, NO_NUL, element_of, is_list

_FREE = frozenset({"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"})
_FLOATING = frozenset({ScalarType.DOUBLE, ScalarType.FLOAT})
_ESCAPE, _NUL = b"\\u00", b"\\u0000"
ETAG = "etag"
_NEXT_TOKEN, _TOTAL = "next_page_token", "total_size"


class BodyReader:
    """Makes messages of one type from JSON bodies."""

    def __init__(self, desc: DescMessage, *, lifted: tuple[str, ...] = ()) -> None:
        """`lifted` names keys that are taken out of the body because they are no fields of it."""
        self.desc = desc
        self._type: Any = desc.type
        self._lifted = {key: f'"{key}"'.encode() for key in lifted}
        self._takes_floats = _reaches_floats(desc, set())

    def read(self, body: bytes) -> tuple[Message, dict[str, str]]:
        """The message and the lifted values. Raises INVALID_FIELDS."""
        if not body:
            return self._type(), {}
        body, lifted = self._without_lifted(body)
        if self._takes_floats or _NUL in body:
            self._check_values(body)
        try:
            return self._type.from_json(body), lifted
        except json.JSONDecodeError as error:
            raise bodies.broken(error) from error
        except CONVERSION_ERRORS as error:
            raise faults.refusal_for(self.desc, body) from error

    def refusal(self, body: bytes) -> Refusal:
        """Why what was read of a body cannot be put on the wire."""
        return faults.refusal_for(self.desc, self._without_lifted(body)[0])

    def _without_lifted(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        # Most bodies name none of the keys, and have no escapes that could spell one: these are
        # not parsed for them.
        marks = self._lifted.values()
        if marks and (_ESCAPE in body or any(mark in body for mark in marks)):
            return self._lift(body)
        return body, {}

    def _lift(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        value = bodies.loads(body)
        if not isinstance(value, dict):
            raise errors.malformed(faults.NOT_AN_OBJECT)
        lifted = {key: value.pop(key) for key in self._lifted if key in value}
        for key, chosen in lifted.items():
            if chosen is not None and not isinstance(chosen, str):
                raise errors.invalid(key, "must be a string")
        return orjson.dumps(value), {key: chosen or "" for key, chosen in lifted.items()}

    def _check_values(self, body: bytes) -> None:
        # Infinite numbers (1e400) are accepted by the converter and cannot be written again.
        value = bodies.loads(body)
        path = faults.nul_in(value) if _NUL in body else None
        if path is not None:
            raise errors.invalid(path, NO_NUL)


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of a list, as JSON."""

    json: str
    """The rows, separated by commas."""
    count: int
    next_token: str
    total: int


class ResourceWriter:
    """Writes one resource."""

    def __init__(self, desc: DescMessage) -> None:
        self._type: Any = desc.type
        self._has_etag = any(field.name == ETAG for field in desc.fields)

    def write(self, wire: bytes) -> tuple[str, str]:
        """JSON and revision of a serialized message; the revision is empty where there is none."""
        message = self._type.from_binary(wire)
        return _json(message), message.etag if self._has_etag else ""


class ListWriter:
    """Writes the rows of a list without the paging fields around them."""

    def __init__(self, desc: DescMessage) -> None:
        self._type: Any = desc.type
        self._rows = next(field.local_name for field in desc.fields if is_list(field))
        before, self._after = _json(self._type()).split("[]")
        self._before = len(before) + 1

    def write(self, wire: bytes) -> Rows:
        """The page of a serialized response."""
        page = self._type.from_binary(wire)
        token, total, count = page.next_page_token, page.total_size, len(getattr(page, self._rows))
        # Emptied, the paging fields have a known length and can be cut off.
        page.next_page_token, page.total_size = "", 0
        rows = _json(page)[self._before : -len(self._after) - 1]
        return Rows(rows, count, token, total)


def is_listing(desc: DescMessage) -> bool:
    """Whether a response is a page of a list: rows, token and total, nothing else."""
    rest = sorted(field.name for field in desc.fields if not is_list(field))
    return rest == [_NEXT_TOKEN, _TOTAL] and len(desc.fields) == len(rest) + 1


def _json(message: Any) -> str:
    text: str = message.to_json(always_emit_implicit=True, use_proto_field_name=True)
    return text


def _reaches_floats(desc: DescMessage, seen: set[str]) -> bool:
    if desc.type_name in _FREE:
        return True
    seen.add(desc.type_name)
    for field in desc.fields:
        element = element_of(field)
        if element is None or (isinstance(element, ScalarType) and element in _FLOATING):
            return True
        if (
            isinstance(element, DescMessage)
            and element.type_name not in seen
            and _reaches_floats(element, seen)
        ):
            return True
    return False
