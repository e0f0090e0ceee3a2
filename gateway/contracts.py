"""The contracts as the gateway reads them: every REST binding of every method.

One source: the descriptor set that is generated beside the messages. Classes are made from
it at run time, so a new method or field needs no line here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from protobuf import DescField, DescMessage, DescMethod, DescService, Registry
from protobuf.wkt import FileDescriptorSet

_REQUIRED = 2
"""google.api.FieldBehavior.REQUIRED."""
VERBS = ("get", "post", "patch", "put", "delete")
_OUTPUT_ONLY = 3
"""google.api.FieldBehavior.OUTPUT_ONLY."""
_IMMUTABLE = 5
"""google.api.FieldBehavior.IMMUTABLE."""


class ContractError(Exception):
    """A contract cannot be served as it is written; the message names it."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC and what it declares about itself."""

    service: str
    """Full name, such as `writer.tasks.v1.TaskService`."""
    name: str
    request: DescMessage
    response: DescMessage
    kind: str
    """unary, server_streaming, client_streaming or bidi_streaming."""
    access: str
    """Level of writer.options.v1.Access, spelled as in the contract."""
    level: int
    """The same, as chassis.access knows it."""
    callers: tuple[str, ...]
    needs_sector: bool
    http_status: int
    """Of a success; 200 when the contract says nothing."""
    throttle: str

    @property
    def path(self) -> str:
        """Path of the RPC on the wire."""
        return f"/{self.service}/{self.name}"

    @property
    def peer(self) -> str:
        """The service that answers: `tasks` of `writer.tasks.v1`."""
        return self.service.split(".")[1]


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to reach a method over REST."""

    method: Method
    verb: str
    """Upper case."""
    template: str
    body: str
    """Empty (no body), `*` (the request itself), or the field that the body becomes."""


class Contracts:
    """All methods and bindings of a descriptor set."""

    def __init__(self, image: bytes) -> None:
        """`image` is a serialized FileDescriptorSet, dependencies first."""
        self.registry: Registry = FileDescriptorSet.from_binary(image).to_registry()
        self._http = _option(self.registry, "google.api.http")
        self._policy = _option(self.registry, "writer.options.v1.policy")
        self._behavior = _option(self.registry, "google.api.field_behavior")
        self._rules = _option(self.registry, "buf.validate.field")
        self.methods: list[Method] = []
        self.bindings: list[Binding] = []
        services = [desc for desc in self.registry if isinstance(desc, DescService)]
        for service in sorted(services, key=lambda desc: desc.type_name):
            for desc in service.methods:
                method = self._method(service, desc)
                self.methods.append(method)
                self.bindings.extend(self._bindings(method, desc))

    def is_output_only(self, field: DescField) -> bool:
        """Whether only the service sets the field."""
        return self._behaves(field, _OUTPUT_ONLY)

    def is_immutable(self, field: DescField) -> bool:
        """Whether the field is set once, by the create."""
        return self._behaves(field, _IMMUTABLE)

    def is_required(self, field: DescField) -> bool:
        """Whether the contract says that a client must give the field."""
        options = field.proto.options
        return options is not None and _REQUIRED in options[self._behavior]

    def rules(self, field: DescField) -> Any:
        """The field's rules (`buf.validate.FieldRules`), or None."""
        options = field.proto.options
        return None if options is None or self._rules not in options else options[self._rules]

    def maximum(self, field: DescField) -> int | None:
        """The declared upper bound of an int32 field, if any."""
        rules = self.rules(field)
        kind = None if rules is None else rules.type
        if kind is None or kind.field != "int32" or kind.value.less_than is None:
            return None
        bound = kind.value.less_than
        return int(bound.value) if bound.field == "lte" else int(bound.value) - 1

    def _behaves(self, field: DescField, behavior: int) -> bool:
        options = field.proto.options
        return options is not None and behavior in options[self._behavior]

    def _method(self, service: DescService, desc: DescMethod) -> Method:
        options = desc.proto.options
        if options is None or self._policy not in options:
            raise ContractError(f"{service.type_name}.{desc.name} declares no policy")
        policy = options[self._policy]
        if not policy.access.value:
            raise ContractError(f"{service.type_name}.{desc.name} declares no access")
        return Method(
            service=service.type_name,
            name=desc.name,
            request=desc.input,
            response=desc.output,
            kind=desc.method_kind,
            access=policy.access.name,
            level=policy.access.value,
            callers=tuple(policy.callers),
            needs_sector=policy.needs_sector,
            http_status=policy.http_status or 200,
            throttle=policy.throttle,
        )

    def _bindings(self, method: Method, desc: DescMethod) -> Iterator[Binding]:
        options = desc.proto.options
        if options is None or self._http not in options:
            return
        first = options[self._http]
        for rule in (first, *first.additional_bindings):
            if rule.pattern is None or rule.pattern.field not in VERBS:
                raise ContractError(f"{method.path} has a binding without a known verb")
            yield Binding(
                method=method,
                verb=rule.pattern.field.upper(),
                template=rule.pattern.value,
                body=rule.body,
            )


def _option(registry: Registry, name: str) -> Any:
    found = registry.extension(name)
    if found is None:
        raise ContractError(f"the descriptor set lacks the option {name}")
    return found.type


@cache
def load_contracts() -> Contracts:
    """The contracts that this release was built with."""
    return Contracts(resources.files("writer").joinpath("api.binpb").read_bytes())
