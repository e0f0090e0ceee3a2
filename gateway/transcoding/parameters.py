"""Query parameters of one route, typed by the fields of its request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from protobuf import DescField, DescMessage

from chassis.errors import InvalidFields, Violation
from chassis.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from gateway.http import errors
from gateway.transcoding.fields import (
    CONVERSION_ERRORS,
    INT32_MAX,
    NO_NUL,
    element_of,
    expected,
    is_list,
    parameter_parser,
)

PARAMETERS_MAX = 50
SCOPE = ("site_id", "sector_id")
PAGE = "page"
PUBLIC_NAMES = {"order_by": "ordering", "skip": PAGE}
"""Fields whose parameter has another name; `page` counts pages where `skip` counts rows."""
TOO_FAR = "is too far: continue with page_token"
"""Of a page: the bound itself counts rows, which the client never named."""
_HIDDEN = frozenset({"request_id", "etag", "update_mask", "skip"})
"""Fields that a query never sets: headers and the body's keys do."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter and the field it fills."""

    name: str
    field: DescField
    repeated: bool
    parse: Callable[[str], Any]


@dataclass(slots=True)
class Query:
    """What a query string says."""

    values: dict[str, Any]
    """Values by the field's name in Python."""
    scope: dict[str, str]
    page: int
    """From 1."""
    page_size: int
    by_token: bool
    """Whether the client walks by token instead of by page number."""


class Parameters:
    """The parameters that a route knows."""

    def __init__(self, request: DescMessage, taken: Iterable[str]) -> None:
        """`taken` are fields that the path or the body fills."""
        fields = {field.name: field for field in request.fields}
        self.paged = {"skip", "page_size", "page_token"} <= fields.keys()
        """Whether the route takes a page number."""
        self._known: dict[str, Parameter] = {}
        for name in fields.keys() - set(taken) - _HIDDEN - set(SCOPE):
            field = fields[name]
            parse = parameter_parser(element_of(field))
            if parse is not None:
                public = PUBLIC_NAMES.get(name, name)
                self._known[public] = Parameter(public, field, is_list(field), parse)

    @property
    def fields(self) -> dict[str, DescField]:
        """The fields that parameters fill, by the name of the parameter."""
        return {name: parameter.field for name, parameter in self._known.items()}

    def parse(self, query: bytes) -> Query:
        """Reads a query string. Raises INVALID_FIELDS naming every parameter at fault."""
        found = Query({}, {}, 1, PAGE_SIZE_DEFAULT, by_token=False)
        if not query:
            return found
        faults: list[Violation] = []
        for name, texts in pairs_of(query).items():
            try:
                fault = self._take(found, name, texts)
            except (*CONVERSION_ERRORS, KeyError):
                fault = self._expected(name)
            if fault:
                faults.append(Violation(name, fault))
        if found.by_token and found.page > 1:
            faults.append(Violation(PAGE, "cannot be combined with page_token"))
        if not faults and self.paged and not found.by_token:
            skip = (found.page - 1) * found.page_size
            if skip > INT32_MAX:
                faults.append(Violation(PAGE, TOO_FAR))
            found.values["skip"] = skip
        if faults:
            raise InvalidFields(*faults)
        return found

    def _expected(self, name: str) -> str:
        if self.paged and name == "page_size":
            # The contract's 0 means the default; in a query that is said by leaving it out.
            return f"must be a whole number from 1 to {PAGE_SIZE_MAX}"
        return expected(self._known[name].field)

    def _take(self, found: Query, name: str, texts: list[str]) -> str | None:
        """Puts a parameter where it belongs; returns what is wrong with it, if anything."""
        parameter = self._known.get(name)
        repeated = parameter is not None and parameter.repeated
        if len(texts) > 1 and not repeated:
            return "must be given once"
        if any("\0" in text for text in texts):
            return NO_NUL
        if name in SCOPE:
            found.scope[name] = texts[0]
            return None
        if name == PAGE and self.paged:
            return _take_page(found, texts[0])
        if parameter is None:
            return "is not a known parameter"
        values = [parameter.parse(text) for text in texts]
        found.values[parameter.field.local_name] = values if repeated else values[0]
        if self.paged and name == "page_size":
            found.page_size = values[0]
            if not 1 <= values[0] <= PAGE_SIZE_MAX:
                return f"must be from 1 to {PAGE_SIZE_MAX}"
        if self.paged and name == "page_token":
            # An empty one begins such a walk.
            found.by_token = True
        return None


def _take_page(found: Query, text: str) -> str | None:
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) < 1:
        return "must be a whole number from 1"
    found.page = int(text)
    return None


def pairs_of(query: bytes) -> Mapping[str, list[str]]:
    """The values of a query string by name. Raises INVALID_FIELDS."""
    if query.count(b"&") >= PARAMETERS_MAX:
        raise errors.malformed(f"The query string has more than {PARAMETERS_MAX} parameters.")
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
        )
    except ValueError as error:
        raise errors.malformed("The query string cannot be read.") from error
    found: dict[str, list[str]] = {}
    for name, text in pairs:
        found.setdefault(name[:100], []).append(text)
    return found
