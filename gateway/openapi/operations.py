"""One REST binding as an operation: how it is called, by whom, and all that it may answer."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.admission.throttles import PER_MINUTE, scope_named
from gateway.contracts import Binding, Contracts
from gateway.openapi import codes
from gateway.openapi.comments import Comments
from gateway.openapi.inputs import PATH_NAMES, Inputs, has_revision
from gateway.openapi.names import operation_id, tag
from gateway.openapi.responses import Answers
from gateway.openapi.rules import Schema
from gateway.openapi.schemas import Schemas
from gateway.openapi.wording import Wording

_EMPTY = "google.protobuf.Empty"
_SAID = {
    200: "Done.",
    201: "Created; a repeat with the same idempotency key is answered alike.",
    202: "Accepted: the work goes on in the background.",
}
SECURITY: list[dict[str, list[str]]] = [{"accessToken": []}, {"apiKey": []}]
CHARS_MAX = 300
"""Of a summary; a first sentence that is longer says too much."""


class Operations:
    """Describes the bindings of a set of contracts."""

    def __init__(self, contracts: Contracts, bindings: Iterable[Binding]) -> None:
        self.bindings = list(bindings)
        self._comments = Comments(contracts.registry, Wording(self.bindings))
        self.schemas = Schemas(contracts, self._comments)
        self.answers = Answers(self.schemas)
        self._inputs = Inputs(contracts, self.schemas)
        self._of_resource = _by_resource(self.bindings)

    def tags(self) -> list[Schema]:
        """Every service once, with what it is for."""
        services = dict.fromkeys(binding.method.service for binding in self.bindings)
        return [{"name": tag(name), "description": self._comments.of(name)} for name in services]

    def describe(self, binding: Binding) -> Schema:
        """The operation of a binding."""
        method = binding.method
        name = f"{method.service}.{method.name}"
        comment = self._comments.of(name)
        operation: Schema = {
            "operationId": operation_id(binding),
            "tags": [tag(method.service)],
            "summary": self._comments.summary(name)[:CHARS_MAX],
            "description": _described(binding, comment),
            "parameters": self._inputs.parameters(binding),
        }
        body = self._inputs.body(binding)
        if body is not None:
            operation["requestBody"] = body
        operation["responses"] = self._responses(binding, comment)
        operation["security"] = [] if method.access == "public" else SECURITY
        operation["x-access"] = method.access
        operation["x-roles"] = [] if method.access == "public" else codes.roles(method.level)
        if method.throttle:
            operation["x-throttle-scope"] = scope_named(method.throttle, binding.verb)
        return operation

    def _responses(self, binding: Binding, comment: str) -> dict[str, Schema]:
        method = binding.method
        throttled = bool(method.throttle)
        if method.response.type_name == _EMPTY:
            success = {"204": self.answers.empty(throttled=throttled)}
        else:
            said = _SAID.get(method.http_status, _SAID[200])
            answer = self.answers.success(method.response, said, throttled=throttled)
            links = self._links(binding)
            success = {str(method.http_status): {**answer, **({"links": links} if links else {})}}
            if binding.verb == "GET" and has_revision(method.response):
                success["304"] = self.answers.unchanged()
        return success | self.answers.refusals_of(codes.of_binding(binding, comment))

    def _links(self, binding: Binding) -> dict[str, Schema]:
        """From what was made to all that can be done with it."""
        if binding.verb != "POST" or "{" in binding.template:
            return {}
        return {
            operation_id(other): {
                "operationId": operation_id(other),
                "parameters": {"id": "$response.body#/data/id"},
            }
            for other in self._of_resource.get(binding.method.response.type_name, ())
        }


def _by_resource(bindings: list[Binding]) -> dict[str, list[Binding]]:
    """Operations on one resource, by the resource's message."""
    found: dict[str, list[Binding]] = {}
    for reader in bindings:
        if reader.verb == "GET" and reader.template.endswith("/{id}"):
            found[reader.method.response.type_name] = [
                other
                for other in bindings
                if f"{other.template}/".startswith(f"{reader.template}/")
                and PATH_NAMES.findall(other.template) == ["id"]
            ]
    return found


def _described(binding: Binding, comment: str) -> str:
    method = binding.method
    parts = [comment]
    if method.access == "public":
        parts.append("Needs no credentials.")
    else:
        parts.append(f"Roles: {', '.join(codes.roles(method.level))}.")
    if method.throttle:
        scope = scope_named(method.throttle, binding.verb)
        parts.append(f"Throttle: `{scope}`, by default {PER_MINUTE[scope]} a minute.")
    return "\n\n".join(part for part in parts if part)
