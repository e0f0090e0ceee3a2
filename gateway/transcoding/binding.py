"""From path, query, headers and body to the request message of a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protobuf import DescField, DescMessage, Message, ScalarType

from chassis import status
from chassis.errors import InvalidFields, Refusal, Violation
from gateway.contracts import Binding, ContractError, Contracts
from gateway.http import conditions, errors
from gateway.transcoding import bodies
from gateway.transcoding.conversion import BodyReader
from gateway.transcoding.fields import CONVERSION_ERRORS, element_of
from gateway.transcoding.masks import MASK, MaskReader
from gateway.transcoding.parameters import PAGE, PUBLIC_NAMES, SCOPE, TOO_FAR, Parameters, Query

ID_CHARS_MAX = 64
SCOPE_HEADERS = {
    "site_id": (b"x-site-id", "X-Site-Id"),
    "sector_id": (b"x-sector-id", "X-Sector-Id"),
}
WHOLE = "*"
"""Of a binding's body: the body is the request itself."""


@dataclass(slots=True)
class Bound:
    """A request that is understood, not yet checked against a tenant."""

    message: Any
    query: Query
    site_id: str
    sector_id: str
    idempotency_key: str = ""
    """The client's, where the method takes one."""


class RequestBinder:
    """Builds the requests of one binding. What it relies on is checked once, at the start."""

    def __init__(self, contracts: Contracts, binding: Binding, path_names: tuple[str, ...]) -> None:
        method = binding.method
        self._type: Any = method.request.type
        self._body = binding.body
        self._is_read = binding.verb == "GET"
        self._fields = {field.name: field for field in method.request.fields}
        for name in path_names:
            _require_text(binding, self._fields.get(name))
        self._prefix = "" if binding.body in {"", WHOLE} else f"{binding.body}."
        self.takes_body = binding.body != ""
        inner = _body_desc(binding, self._fields)
        self._inner = inner
        inner_names = {field.name for field in inner.fields} if inner else set()
        self._reader = (
            BodyReader(inner, lifted=tuple(name for name in SCOPE if name not in inner_names))
            if inner
            else None
        )
        self._inner_scope = tuple(name for name in SCOPE if name in inner_names)
        """Scope fields that the body's message has, whoever sets them."""
        self._request_scope = _inputs(contracts, method.request)
        self._body_scope = _inputs(contracts, inner) if inner else ()
        self._mask = self._mask_reader(contracts, binding, path_names)
        taken = {*path_names, self._body} if self._body != WHOLE else set(self._fields)
        self.parameters = Parameters(method.request, taken)

    def bind(
        self,
        path: Mapping[str, str],
        query: bytes,
        headers: Mapping[bytes, bytes],
        body: bytes,
    ) -> Bound:
        """The request message and the chosen scope. Raises INVALID_FIELDS."""
        asked = self.parameters.parse(query)
        inner: Any = None
        chosen = [asked.scope]
        paths = self._mask.paths(bodies.loads(body or b"{}")) if self._mask else []
        if self._reader is not None:
            inner, lifted = self._reader.read(body)
            chosen.append(lifted)
            chosen.append({name: getattr(inner, name) for name in self._inner_scope})
        scope = _scope(headers, chosen)
        message = self._message(inner, asked, path)
        self._pass_scope_on(message, inner, scope)
        if paths:
            message.update_mask = self._mask_type(paths=paths)
        key = "" if self._is_read else self._take_key(message, headers)
        self._take_revision(message, inner, headers)
        return Bound(message, asked, scope["site_id"], scope["sector_id"], key)

    def serialized(self, bound: Bound, body: bytes) -> bytes:
        """The request for the wire. Raises INVALID_FIELDS.

        Numbers of enum values are taken from JSON whatever their size, and too large ones are
        found out only here.
        """
        try:
            wire: bytes = bound.message.to_binary()
        except CONVERSION_ERRORS as error:
            if self._reader is None:
                raise
            raise self._reader.refusal(body) from error
        return wire

    def translated(self, refusal: Refusal) -> Refusal:
        """The refusal of a service, with fields named as the client knows them."""
        if not refusal.violations:
            return refusal
        named = InvalidFields(*refusal.violations).message[: status.TEXT_CHARS_MAX]
        refusal.violations = tuple(self._violation(each) for each in refusal.violations)
        if refusal.message == named:
            # The sentence does no more than name the fields, so it is said again.
            refusal.message = InvalidFields(*refusal.violations).message
        return refusal

    def _violation(self, violation: Violation) -> Violation:
        field = self._public(violation.field)
        far = field == PAGE and violation.field != PAGE
        return Violation(field, TOO_FAR if far else violation.description)

    def _public(self, field: str) -> str:
        if self._prefix and field.startswith(self._prefix):
            return field[len(self._prefix) :]
        return PUBLIC_NAMES.get(field, field) if self._body != WHOLE else field

    def _message(self, inner: Any, asked: Query, path: Mapping[str, str]) -> Any:
        if self._body == WHOLE:
            for name, value in path.items():
                local = self._fields[name].local_name
                if getattr(inner, local) not in {"", value}:
                    raise errors.invalid(name, "differs from the address")
                setattr(inner, local, value)
            return inner
        values = {**asked.values, **{self._fields[n].local_name: v for n, v in path.items()}}
        if inner is not None:
            values[self._fields[self._body].local_name] = inner
        return self._type(**values)

    def _pass_scope_on(self, message: Any, inner: Message | None, scope: dict[str, str]) -> None:
        for target, names in ((message, self._request_scope), (inner, self._body_scope)):
            for name in names:
                if scope[name] and not getattr(target, name):
                    setattr(target, name, scope[name])

    def _take_key(self, message: Any, headers: Mapping[bytes, bytes]) -> str:
        key = headers.get(b"idempotency-key")
        if key is None:
            return ""
        text = _header_text(key, "Idempotency-Key")
        if "request_id" not in self._fields:
            # Such a method may be repeated anyway; its comment in the contract says why.
            return ""
        if message.request_id not in {"", text}:
            raise errors.invalid("request_id", "differs from the header Idempotency-Key")
        message.request_id = text
        return text

    def _take_revision(self, message: Any, inner: Any, headers: Mapping[bytes, bytes]) -> None:
        expected = headers.get(b"if-match")
        if "etag" not in self._fields:
            if expected is not None and not self._is_read:
                # To go on would overwrite what the client wants to keep.
                raise errors.invalid("If-Match", "is not possible here: there is no revision")
            return
        named = {message.etag}
        if self._mask is not None:
            # The resource as it was read, sent back: its revision is a condition as well.
            named.add(getattr(inner, "etag", ""))
        if expected is not None:
            named.add(conditions.revision_in(expected))
        named.discard("")
        if len(named) > 1:
            raise errors.invalid("etag", "differs from the header If-Match")
        message.etag = next(iter(named), "")

    def _mask_reader(
        self, contracts: Contracts, binding: Binding, path_names: tuple[str, ...]
    ) -> MaskReader | None:
        """For a PATCH: which keys are changes; those that choose the row are none."""
        if binding.verb != "PATCH":
            return None
        if self._inner is None or MASK not in self._fields:
            raise ContractError(f"{binding.method.path} is a PATCH without {MASK}")
        mask = element_of(self._fields[MASK])
        assert isinstance(mask, DescMessage)
        self._mask_type: Any = mask.type
        chosen = {name for name in SCOPE if name not in self._body_scope}
        taken = {*path_names, "request_id"} if self._body == WHOLE else set()
        condition = {"etag"} & self._fields.keys()
        ignored = frozenset({*condition, *chosen, *taken})
        return MaskReader(contracts, self._inner, binding.method.response, ignored)


def _inputs(contracts: Contracts, desc: DescMessage) -> tuple[str, ...]:
    """Scope fields of a message that the client sets."""
    return tuple(
        field.name
        for field in desc.fields
        if field.name in SCOPE and not contracts.is_output_only(field)
    )


def _body_desc(binding: Binding, fields: Mapping[str, DescField]) -> DescMessage | None:
    if binding.body == "":
        return None
    if binding.body == WHOLE:
        return binding.method.request
    element = element_of(fields[binding.body]) if binding.body in fields else None
    if not isinstance(element, DescMessage):
        raise ContractError(f"{binding.method.path} takes a body that is no message")
    return element


def _require_text(binding: Binding, field: DescField | None) -> None:
    if field is None or element_of(field) is not ScalarType.STRING:
        raise ContractError(f"{binding.template} has a parameter that is no string field")


def _scope(headers: Mapping[bytes, bytes], chosen: list[dict[str, str]]) -> dict[str, str]:
    scope, faults = {}, []
    for name, (header, spelled) in SCOPE_HEADERS.items():
        sent = headers.get(header)
        value = "" if sent is None else _header_text(sent, spelled)
        for values in chosen:
            other = values.get(name)
            if other and value and other != value:
                faults.append(Violation(name, "is given more than once, with different values"))
                break
            value = other or value
        if len(value) > ID_CHARS_MAX:
            faults.append(Violation(name, f"must have at most {ID_CHARS_MAX} characters"))
        scope[name] = value
    if faults:
        raise InvalidFields(*faults)
    return scope


def _header_text(value: bytes, name: str) -> str:
    text = value.decode("latin-1").strip()
    if not 0 < len(text) <= ID_CHARS_MAX or not text.isascii() or not text.isprintable():
        raise errors.invalid(name, f"must have 1 to {ID_CHARS_MAX} printable characters")
    return text
