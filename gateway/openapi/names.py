"""Names that client generators turn into functions and types: stable, and said once."""

from __future__ import annotations

import re

from protobuf import DescEnum, DescMessage

from gateway.contracts import Binding, ContractError

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z]|$)|[A-Z][a-z0-9]*")


def operation_id(binding: Binding) -> str:
    """Name of the method in snake case, such as `create_task`.

    A custom verb in the address that says more wins: `auto_generate_content` of the method
    GenerateContent.
    """
    name = "_".join(_WORD.findall(binding.method.name)).lower()
    verb = binding.template.rpartition("/")[2]
    return verb if verb.endswith(f"_{name}") else name


def tag(service: str) -> str:
    """The service in words: `Api keys` of `writer.identity.v1.ApiKeysService`."""
    words = _WORD.findall(service.rpartition(".")[2].removesuffix("Service"))
    return " ".join([words[0], *(word.lower() for word in words[1:])])


def type_name(desc: DescMessage | DescEnum) -> str:
    """`Task`, `TaskStatus` of `Task.Status`, `ContentType` of `ContentType.Value`."""
    if desc.parent is None:
        return desc.name
    outer = type_name(desc.parent).removesuffix("Request")
    return outer if desc.name == "Value" else f"{outer}{desc.name}"


class Components:
    """Schemas by name; two things never share one."""

    def __init__(self) -> None:
        self.schemas: dict[str, dict[str, object]] = {}
        self._owners: dict[str, str] = {}

    def claim(self, name: str, owner: str) -> bool:
        """Whether the name is new; its schema must then be put in. Raises ContractError."""
        known = self._owners.setdefault(name, owner)
        if known != owner:
            raise ContractError(f"{known} and {owner} would both be the schema {name}")
        return name not in self.schemas


def reference(name: str) -> dict[str, object]:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}
