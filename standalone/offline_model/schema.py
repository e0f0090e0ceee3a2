"""Fills any JSON schema: with what the answers know by name, and sensibly elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

MAX_DEPTH = 12
MAX_ITEMS = 20
DEFAULT_ITEMS = 3

_FORMATTED = {
    "date": "2025-01-01",
    "date-time": "2025-01-01T00:00:00Z",
    "email": "reader@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

Path = tuple[str | int, ...]
Schema = Mapping[str, Any]


class Answers(Protocol):
    """What is known about a place in the answer; None leaves it to the filling."""

    def value(self, path: Path, /) -> Any:
        """The whole value for this place, or None."""

    def count(self, path: Path, /) -> int | None:
        """How many items the list here should have, or None."""

    def sentence(self, path: Path, /) -> str:
        """A text for a string that is not known."""


class Filler:
    """Builds one object for one schema. Deterministic as long as the answers are."""

    def __init__(self, root: Schema, answers: Answers) -> None:
        self._root = root
        self._answers = answers

    def build(self) -> Any:
        """A value valid for the schema as far as it uses what is supported here."""
        return self._fill(self._root, ())

    def _fill(self, schema: Schema, path: Path) -> Any:
        schema = self._resolved(schema)
        if len(path) > MAX_DEPTH:
            return None
        if "const" in schema:
            return schema["const"]
        kind = _type_of(schema)
        known = self._answers.value(path) if path and kind != "object" else None
        if isinstance(options := schema.get("enum"), list) and options:
            return known if known in options else options[0]
        if kind == "object":
            return self._object(schema, path)
        if kind == "array":
            return self._array(schema, path, known)
        if kind == "string":
            text = known if isinstance(known, str) else self._string(schema, path)
            return _cut(text, schema.get("maxLength"))
        return self._scalar(kind, schema, known)

    def _object(self, schema: Schema, path: Path) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            return {}
        return {
            name: self._fill(child, (*path, name))
            for name, child in properties.items()
            if isinstance(child, Mapping)
        }

    def _array(self, schema: Schema, path: Path, known: Any) -> list[Any]:
        items = schema.get("items")
        items = items if isinstance(items, Mapping) else {"type": "string"}
        low = _whole(schema.get("minItems"), 0)
        high = min(_whole(schema.get("maxItems"), MAX_ITEMS), MAX_ITEMS)
        if isinstance(known, list) and _type_of(self._resolved(items)) == "string":
            found = known[:high]
        else:
            count = self._answers.count(path)
            count = DEFAULT_ITEMS if count is None else count
            found = [self._fill(items, (*path, n)) for n in range(max(low, min(high, count)))]
        found += [self._fill(items, (*path, n)) for n in range(len(found), min(low, MAX_ITEMS))]
        return found

    def _string(self, schema: Schema, path: Path) -> str:
        return _FORMATTED.get(str(schema.get("format"))) or self._answers.sentence(path)

    def _scalar(self, kind: str, schema: Schema, known: Any) -> Any:
        if kind == "boolean":
            return known if isinstance(known, bool) else True
        if kind in ("integer", "number"):
            low = schema.get("minimum", 1)
            value = known if isinstance(known, int | float) else low
            return int(value) if kind == "integer" else float(value)
        return None

    def _resolved(self, schema: Schema) -> Schema:
        """Follows local references and takes the first branch that is not null."""
        for _ in range(MAX_DEPTH):
            if isinstance(ref := schema.get("$ref"), str) and ref.startswith("#/"):
                target: Any = self._root
                for part in ref[2:].split("/"):
                    target = target.get(part) if isinstance(target, Mapping) else None
                schema = target if isinstance(target, Mapping) else {}
            elif branches := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
                real = [b for b in branches if isinstance(b, Mapping) and b.get("type") != "null"]
                schema = real[0] if real else {"type": "null"}
            else:
                break
        return schema


def property_names(schema: Schema) -> set[str]:
    """Names of the top level's properties."""
    properties = schema.get("properties")
    return set(properties) if isinstance(properties, Mapping) else set()


def without_half_of_required(value: Any, schema: Schema) -> Any:
    """The same object with every second required property missing, beginning with the first."""
    if not isinstance(value, dict):
        return {}
    required = schema.get("required") or list(value)
    return {name: item for name, item in value.items() if name not in required[::2]}


def _type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and value >= 0 else default


def _cut(text: str, limit: Any) -> str:
    return text[:limit].rstrip() if isinstance(limit, int) and 0 < limit < len(text) else text
