"""Which events leave the system, and how they look outside: read from the contracts.

An event is shown as canonical JSON of its message without its hidden fields, in an envelope
of id, type, time and request id. What declares no reader, or cannot be read, is not shown.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from protobuf import DescMessage

from chassis.events import NO_SITE, name_in
from chassis.feed import Stored
from gateway.contracts import ContractError, Contracts
from gateway.streams import event_format

log = logging.getLogger(__name__)

PACKAGE = "writer.events.v1."
_NOBODY = frozenset({"level_unspecified", "internal"})
_SUBJECT_TOKENS = 5


@dataclass(frozen=True, slots=True)
class Told:
    """One event as readers see it; made once, however many they are."""

    sequence: int
    site_id: str
    """Empty for what belongs to no site."""
    type: str
    """Such as `generation.succeeded`."""
    level: int
    """The least a reader needs (writer.options.v1.Access)."""
    frame: bytes
    run_id: str
    generation_id: str
    content_id: str


@dataclass(frozen=True, slots=True)
class _Kind:
    message: Any
    type_name: str
    level: int
    hidden: tuple[str, ...]


class Catalogue:
    """The events that are shown."""

    def __init__(self, contracts: Contracts) -> None:
        self._kinds = dict(_kinds(contracts))

    @property
    def types(self) -> frozenset[str]:
        """Names such as `generation.succeeded`."""
        return frozenset(self._kinds)

    def level(self, name: str) -> int:
        """The least that a reader of this event needs."""
        return self._kinds[name].level

    def subjects(self, account_id: str = "*", types: Iterable[str] | None = None) -> list[str]:
        """What to read from the stream for one account, or for all."""
        return [f"writer.{account_id}.*.{name}" for name in sorted(types or self._kinds)]

    def told(self, stored: Stored) -> Told | None:
        """The event as it is shown; None for one that is not."""
        tokens = stored.subject.split(".")
        if len(tokens) != _SUBJECT_TOKENS:
            return None
        _, account_id, site, thing, fact = tokens
        kind = self._kinds.get(f"{thing}.{fact}")
        if kind is None or stored.headers.get("ce-type", kind.type_name) != kind.type_name:
            return None
        try:
            message = kind.message.from_binary(stored.payload)
            text = message.to_json(always_emit_implicit=True, use_proto_field_name=True)
        except Exception as error:  # noqa: BLE001  one bad event must not stop the feed
            log.warning("an event on %s cannot be read: %r", stored.subject, error)
            return None
        site_id = "" if site == NO_SITE else site
        if (message.account_id, message.site_id) != (account_id, site_id):
            # Whoever wrote this, its address decides who reads it: both must agree.
            log.warning("an event on %s is about another tenant", stored.subject)
            return None
        return Told(
            sequence=stored.sequence,
            site_id=site_id,
            type=f"{thing}.{fact}",
            level=kind.level,
            frame=_frame(stored, f"{thing}.{fact}", orjson.loads(text), kind.hidden),
            run_id=getattr(message, "run_id", ""),
            generation_id=getattr(message, "generation_id", ""),
            content_id=getattr(message, "content_id", ""),
        )


def _frame(stored: Stored, name: str, data: dict[str, Any], hidden: tuple[str, ...]) -> bytes:
    for field in hidden:
        data.pop(field, None)
    headers = stored.headers
    document = {
        "id": headers.get("ce-id") or headers.get("nats-msg-id", ""),
        "type": name,
        "time": headers.get("ce-time", ""),
        "request_id": headers.get("ce-requestid", ""),
        "data": data,
    }
    return event_format.event(name, orjson.dumps(document), str(stored.sequence))


def _kinds(contracts: Contracts) -> Iterable[tuple[str, _Kind]]:
    shown_to = _option(contracts, "writer.options.v1.shown_to")
    hidden = _option(contracts, "writer.options.v1.hidden")
    for desc in contracts.registry:
        if not isinstance(desc, DescMessage) or not desc.type_name.startswith(PACKAGE):
            continue
        options = desc.proto.options
        if options is None or shown_to not in options or options[shown_to].name in _NOBODY:
            continue
        thing, fact = name_in(desc.type_name)
        yield (
            f"{thing}.{fact}",
            _Kind(
                message=desc.type,
                type_name=desc.type_name,
                level=int(options[shown_to]),
                hidden=tuple(
                    field.name
                    for field in desc.fields
                    if field.proto.options is not None and field.proto.options[hidden]
                ),
            ),
        )


def _option(contracts: Contracts, name: str) -> Any:
    found = contracts.registry.extension(name)
    if found is None:
        raise ContractError(f"the descriptor set lacks the option {name}")
    return found.type
