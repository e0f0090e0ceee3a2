"""From verb and path to an endpoint.

A literal segment always wins over a parameter and there is no way back: `/tasks/{id}` never
sees `/tasks/bulk_create`, whatever the verb. One trailing slash means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

from chassis.errors import Kind, Refusal

PATH_BYTES_MAX = 2_000
ANY_PATH = "*"
"""What OPTIONS asks of when it means the server itself (RFC 9110, 9.3.7)."""
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]{1,128}")
"""What a parameter may be; ids are UUIDs, and an unknown one is for the service to refuse."""
_PARAMETER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")

T = TypeVar("T")
Route = tuple[str, str]
"""Verb and template."""


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: dict[str, _Node[T]] = field(default_factory=dict)
    parameter: _Node[T] | None = None
    endpoints: dict[str, tuple[T, tuple[str, ...]]] = field(default_factory=dict)
    template: str = ""


class Routes(Generic[T]):
    """A tree of path segments."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._static: dict[Route, T] = {}
        self.declared: list[Route] = []
        """All routes, in the order in which they were added."""

    def add(self, verb: str, template: str, endpoint: T) -> None:
        """Adds an endpoint. Raises ValueError when it is taken or not understood."""
        node, names = self._root, []
        for segment in _segments(template):
            named = _PARAMETER.fullmatch(segment)
            if named is not None:
                names.append(named.group(1))
                node.parameter = node.parameter or _Node()
                node = node.parameter
            elif _SEGMENT.fullmatch(segment):
                node = node.literals.setdefault(segment, _Node())
            else:
                raise ValueError(f"the template {template} has a segment that is not understood")
        if verb in node.endpoints:
            raise ValueError(f"{verb} {template} is declared twice")
        node.endpoints[verb] = (endpoint, tuple(names))
        node.template = node.template or template
        self.declared.append((verb, template))
        if not names:
            self._static[verb, template] = endpoint

    def find(self, verb: str, path: str) -> tuple[T, dict[str, str]] | None:
        """The endpoint and its path parameters; None when no route has this path.

        `path` is as it came, percent-encoded. Raises METHOD_NOT_ALLOWED when only the verb
        does not fit.
        """
        static = self._static.get((verb, path))
        if static is not None:
            return static, {}
        found = self._walk(path)
        if found is None:
            return None
        node, values = found
        bound = node.endpoints.get(verb)
        if bound is None:
            raise method_not_allowed(node.endpoints)
        return bound[0], dict(zip(bound[1], values, strict=True))

    def template(self, path: str) -> str:
        """The template of a path, whatever the verb; empty when no route has it."""
        if path == ANY_PATH:
            return ANY_PATH
        found = self._walk(path)
        return "" if found is None else found[0].template

    def verbs(self, path: str) -> list[str]:
        """The verbs of a path; none when no route has it."""
        if path == ANY_PATH:
            return sorted({verb for verb, _ in self.declared})
        found = self._walk(path)
        return [] if found is None else list(found[0].endpoints)

    def _walk(self, path: str) -> tuple[_Node[T], list[str]] | None:
        if len(path) > PATH_BYTES_MAX:
            return None
        node, values = self._root, []
        for raw in _segments(path):
            # Most segments are literals and written as we write them.
            literal = node.literals.get(raw)
            if literal is not None:
                node = literal
                continue
            segment = _decoded(raw)
            if segment is None:
                return None
            literal = node.literals.get(segment)
            if literal is not None:
                node = literal
            elif node.parameter is not None:
                node = node.parameter
                values.append(segment)
            else:
                return None
        return (node, values) if node.endpoints else None


def method_not_allowed(verbs: Iterable[str]) -> Refusal:
    """The path exists, but not with this verb."""
    allowed = allow(verbs)
    return Refusal(
        Kind.INVALID_ARGUMENT,
        "METHOD_NOT_ALLOWED",
        f"This path answers to {allowed} only.",
        metadata={"allow": allowed},
    )


def allow(verbs: Iterable[str]) -> str:
    """The `Allow` of a path that answers to these verbs."""
    return ", ".join(sorted({*verbs, "OPTIONS"}))


def _segments(path: str) -> list[str]:
    return path.removesuffix("/").split("/")[1:]


def _decoded(segment: str) -> str | None:
    if "%" in segment:
        try:
            segment = unquote(segment, errors="strict")
        except UnicodeDecodeError:
            return None
    return segment if _SEGMENT.fullmatch(segment) else None
