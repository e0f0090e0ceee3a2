"""What a PATCH changes: the fields that its body names, as paths for `update_mask`.

A key is changed to its value, null to the field's empty value; what is absent stays. Objects
are looked into, so that `{"seo": {"title": "…"}}` leaves the rest of `seo` alone; lists, maps
and free objects are replaced whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protobuf import DescField, DescFieldValueMessage, DescMessage

from chassis.errors import InvalidFields, Violation
from gateway.contracts import Contracts
from gateway.http import errors
from gateway.transcoding import faults
from gateway.transcoding.fields import element_of

MASK = "update_mask"
PATHS_MAX = 100
"""Fields that one PATCH may name; far more than any resource has."""
EMPTY = "The body names no field to change."
_WELL_KNOWN = "google.protobuf."


class MaskReader:
    """Reads the paths out of bodies of one type."""

    def __init__(
        self,
        contracts: Contracts,
        desc: DescMessage,
        resource: DescMessage,
        ignored: frozenset[str],
    ) -> None:
        """`ignored` are fields that say which row and revision, not what to change.

        What of the `resource` that was read is no field of the body can be seen, not changed.
        """
        self._contracts = contracts
        self._shown = {field.name for field in resource.fields}
        self._desc = desc
        self._ignored = ignored

    def paths(self, value: Any) -> list[str]:
        """Paths in the order of the body. `value` has been parsed, not yet converted.

        Raises INVALID_FIELDS for unknown, read-only and repeated fields, and an empty body.
        """
        if not isinstance(value, dict):
            raise errors.malformed(faults.NOT_AN_OBJECT)
        found: list[str] = []
        wrong: list[Violation] = []
        for path, fault in self._walk(self._desc, value, ""):
            if fault:
                wrong.append(Violation(path, fault))
            else:
                found.append(path)
            if len(found) + len(wrong) > PATHS_MAX:
                break
        if wrong:
            raise InvalidFields(*wrong[: faults.FAULTS_MAX])
        if len(found) > PATHS_MAX:
            raise errors.malformed(f"The body names more than {PATHS_MAX} fields.")
        if not found:
            raise errors.malformed(EMPTY)
        return found

    def _walk(
        self, desc: DescMessage, value: dict[str, Any], prefix: str
    ) -> Iterator[tuple[str, str]]:
        """Paths, each with what is wrong about it, if anything."""
        known = {name: field for field in desc.fields for name in (field.name, field.json_name)}
        seen = set()
        for key, inner in value.items():
            field = known.get(key)
            if not prefix and (key if field is None else field.name) in self._ignored:
                continue
            if field is None:
                is_shown = not prefix and key in self._shown
                fault = "cannot be changed" if is_shown else "is not a known field"
                yield f"{prefix}{key[: faults.NAME_CHARS_MAX]}", fault
                continue
            path = f"{prefix}{field.name}"
            if field.name in seen:
                yield path, "is given twice"
            elif self._contracts.is_output_only(field):
                yield path, "is read-only"
            elif self._contracts.is_immutable(field):
                yield path, "cannot be changed"
            elif field.name == MASK:
                yield path, "is not sent: the keys of the body say what changes"
            elif isinstance(inner, dict) and _has_paths(field):
                yield from self._inside(field, inner, path)
            else:
                yield path, ""
            seen.add(field.name)

    def _inside(
        self, field: DescField, value: dict[str, Any], path: str
    ) -> Iterator[tuple[str, str]]:
        element = element_of(field)
        assert isinstance(element, DescMessage)
        if not value:
            # An empty object says that the field is there and nothing about its content.
            yield path, "names no field to change"
        yield from self._walk(element, value, f"{path}.")


def _has_paths(field: DescField) -> bool:
    """Whether the field is one message of ours, so that a path may go on into it."""
    kind = field.value
    return isinstance(kind, DescFieldValueMessage) and not kind.message.type_name.startswith(
        _WELL_KNOWN
    )
