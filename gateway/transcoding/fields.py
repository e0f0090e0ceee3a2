"""What a field accepts: the words for it, and its value out of a query parameter."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    ScalarType,
)

CONVERSION_ERRORS = (ValueError, TypeError, OverflowError, RecursionError)
"""All that protobuf-py raises for JSON or values that do not fit."""
NO_NUL = "must not contain the character U+0000"
"""Of text, which no database would keep with it."""
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
_INT32 = frozenset({ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32})
_INT = re.compile(r"-?[0-9]{1,10}")
_BOOLS = {"true": True, "false": False}
_TIMESTAMP = "google.protobuf.Timestamp"
_RULES = "buf.validate.field"
_WORDS = {
    ScalarType.STRING: "must be a string",
    ScalarType.BOOL: "must be true or false",
    ScalarType.BYTES: "must be a string of base64",
    ScalarType.DOUBLE: "must be a number",
    ScalarType.FLOAT: "must be a number",
}

Element = DescMessage | DescEnum | ScalarType


def element_of(field: DescField) -> Element | None:
    """The type of the field, or of its items when it is a list; None for maps."""
    value = field.value
    if isinstance(value, DescFieldValueScalar):
        return value.scalar
    if isinstance(value, DescFieldValueEnum):
        return value.enum
    if isinstance(value, DescFieldValueMessage):
        return value.message
    if isinstance(value, DescFieldValueList):
        return value.element
    return None


def is_list(field: DescField) -> bool:
    """Whether the field is repeated (and not a map)."""
    return isinstance(field.value, DescFieldValueList)


def names_of(enum: DescEnum) -> dict[str, int]:
    """The values that users may name; the one for `not given` is not among them."""
    return {value.name: value.number for value in enum.values if value.number != 0}


def expected(field: DescField) -> str:
    """What the field, or each item of a list, must be, for people."""
    element = element_of(field)
    if isinstance(element, DescEnum):
        return f"must be one of {', '.join(names_of(element))}"
    if isinstance(element, DescMessage):
        if element.type_name == _TIMESTAMP:
            return "must be a time such as 2026-01-31T12:00:00Z"
        return "must be an object"
    if element is None:
        return "must be an object"
    return _WORDS.get(element) or "must be a whole number from {} to {}".format(*_bounds(field))


def _bounds(field: DescField) -> tuple[int, int]:
    """The least and the greatest that the contract's rule allows; else what the type does."""
    rules = next(
        (
            extension.type
            for file in field.parent.file.dependencies
            for extension in file.extensions
            if extension.type_name == _RULES
        ),
        None,
    )
    options = field.proto.options
    if rules is None or options is None or rules not in options:
        return INT32_MIN, INT32_MAX
    kind = options[rules].type
    if kind is None or kind.field != "int32":
        return INT32_MIN, INT32_MAX
    least, greatest = kind.value.greater_than, kind.value.less_than
    return (
        INT32_MIN if least is None else int(least.value) + (least.field == "gt"),
        INT32_MAX if greatest is None else int(greatest.value) - (greatest.field == "lt"),
    )


def parameter_parser(element: Element | None) -> Callable[[str], Any] | None:
    """A function from the text of a query parameter to the field's value, or None.

    It raises one of CONVERSION_ERRORS or KeyError when the text does not fit.
    """
    if isinstance(element, DescEnum):
        return names_of(element).__getitem__
    if isinstance(element, DescMessage):
        if element.type_name != _TIMESTAMP:
            return None
        timestamp: Any = element.type
        return lambda text: timestamp.from_json(orjson.dumps(text))
    if element is ScalarType.STRING:
        return str
    if element is ScalarType.BOOL:
        return _BOOLS.__getitem__
    return _int32 if element in _INT32 else None


def _int32(text: str) -> int:
    if _INT.fullmatch(text) is None or not INT32_MIN <= int(text) <= INT32_MAX:
        raise ValueError("not a 32-bit whole number")
    return int(text)
