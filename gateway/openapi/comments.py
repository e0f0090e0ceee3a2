"""What the contracts say about themselves: the comments of every element, by its full name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from protobuf import DescEnum, DescField, DescMessage, DescService, Registry

# Field numbers of google.protobuf.*DescriptorProto: they are what a source path is made of.
_FILE_MESSAGES, _FILE_ENUMS, _FILE_SERVICES = 4, 5, 6
_MESSAGE_FIELDS, _MESSAGE_MESSAGES, _MESSAGE_ENUMS = 2, 3, 4
_ENUM_VALUES = _SERVICE_METHODS = 2
_SENTENCE = re.compile(r"(?<=[.:;])\s+(?=[A-Z`])")

Path = tuple[int, ...]


class Comments:
    """The leading comments of a descriptor set, in the words of whoever shows them."""

    def __init__(self, registry: Registry, wording: Callable[[str], str] = str) -> None:
        self._texts: dict[str, str] = {}
        described = (DescEnum, DescMessage, DescService)
        files = {desc.file.name: desc.file for desc in registry if isinstance(desc, described)}
        for file in files.values():
            proto: Any = file.proto
            info = proto.source_code_info
            if info is None:
                continue
            leading = {tuple(at.path): at.leading_comments for at in info.location}
            for name, path in _elements(proto):
                if leading.get(path):
                    self._texts[name] = wording(_paragraphs(leading[path]))

    def of(self, name: str) -> str:
        """Comment of the element with this full name, as paragraphs; empty without one."""
        return self._texts.get(name, "")

    def of_field(self, field: DescField) -> str:
        """Comment of a field."""
        return self.of(f"{field.parent.type_name}.{field.name}")

    def summary(self, name: str) -> str:
        """The first sentence, without its full stop."""
        return first_sentence(self.of(name)).rstrip(".:;")


def first_sentence(text: str) -> str:
    """Up to the first end of a sentence; all of a text that has none."""
    paragraph = text.partition("\n\n")[0]
    return _SENTENCE.split(paragraph, maxsplit=1)[0]


def _paragraphs(comment: str) -> str:
    """Lines of one paragraph belong together; empty lines part paragraphs."""
    blocks = re.split(r"\n\s*\n", comment.strip())
    return "\n\n".join(" ".join(line.strip() for line in block.splitlines()) for block in blocks)


def _elements(file: Any) -> Iterator[tuple[str, Path]]:
    scope = f"{file.package}." if file.package else ""
    yield from _messages(file.message_type, scope, (_FILE_MESSAGES,))
    yield from _enums(file.enum_type, scope, (_FILE_ENUMS,))
    for index, service in enumerate(file.service):
        name, path = f"{scope}{service.name}", (_FILE_SERVICES, index)
        yield name, path
        yield from _members(service.method, name, (*path, _SERVICE_METHODS))


def _messages(messages: Sequence[Any], scope: str, within: Path) -> Iterator[tuple[str, Path]]:
    for index, message in enumerate(messages):
        name, path = f"{scope}{message.name}", (*within, index)
        yield name, path
        yield from _members(message.field, name, (*path, _MESSAGE_FIELDS))
        yield from _messages(message.nested_type, f"{name}.", (*path, _MESSAGE_MESSAGES))
        yield from _enums(message.enum_type, f"{name}.", (*path, _MESSAGE_ENUMS))


def _enums(enums: Sequence[Any], scope: str, within: Path) -> Iterator[tuple[str, Path]]:
    for index, enum in enumerate(enums):
        name, path = f"{scope}{enum.name}", (*within, index)
        yield name, path
        yield from _members(enum.value, name, (*path, _ENUM_VALUES))


def _members(members: Sequence[Any], owner: str, within: Path) -> Iterator[tuple[str, Path]]:
    for index, member in enumerate(members):
        yield f"{owner}.{member.name}", (*within, index)
