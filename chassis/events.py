"""How an event is named, addressed and wrapped.

Names follow from the message type alone: `ImageSetCompleted` is the fact `set_completed`
about the thing `image`. The envelope is CloudEvents 1.0 in binary mode: attributes in the
headers, the protobuf message as the body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, unquote

from google.protobuf.message import Message

from chassis.ids import derived_id

PAYLOAD_MAX_BYTES = 512 * 1024
"""Largest body of an event; half of what a NATS server takes by default."""
ID_MAX_CHARS = 36
NO_SITE = "-"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WORD = re.compile(r"[A-Z][a-z0-9]*")
# CloudEvents demands percent-encoding for blanks, quotes, % and all beyond printable ASCII.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


class UnreadableEventError(ValueError):
    """The headers do not make an event that can be handled once and only once."""


class EventName(NamedTuple):
    """What an event is about, and what happened to it."""

    thing: str
    fact: str


def name_of(message_type: type[Message]) -> EventName:
    """The name that a message type stands for. Raises ValueError for a type of one word."""
    return name_in(message_type.DESCRIPTOR.full_name)


def name_in(type_name: str) -> EventName:
    """The same from the full name of a type, such as `writer.events.v1.RunEnded`."""
    words = [word.lower() for word in _WORD.findall(type_name.rpartition(".")[2])]
    if len(words) < 2:
        raise ValueError(f"{type_name} does not name a thing and a fact")
    return EventName(words[0], "_".join(words[1:]))


def subject_of(message: Message) -> str:
    """`writer.<account>.<site or ->.<thing>.<fact>`. Raises ValueError without a usable account."""
    account: str = getattr(message, "account_id", "")
    site: str = getattr(message, "site_id", "") or NO_SITE
    for token in (account, site):
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"{token!r} cannot be part of an event's subject")
    name = name_of(type(message))
    return f"writer.{account}.{site}.{name.thing}.{name.fact}"


def subject_filter(message_type: type[Message]) -> str:
    """Matches this event of every account and site."""
    name = name_of(message_type)
    return f"writer.*.*.{name.thing}.{name.fact}"


def durable_name(service: str, message_type: type[Message]) -> str:
    """The name of a service's consumer for this event."""
    name = name_of(message_type)
    return f"{service}-{name.thing}-{name.fact}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The attributes of an event that are not its body; `about` is the resource's id."""

    event_id: str
    type: str
    source: str = ""
    about: str = ""
    time: datetime | None = None
    request_id: str = ""
    traceparent: str = ""

    def headers(self) -> dict[str, str]:
        """CloudEvents attributes, and the id by which JetStream drops a repeated publication."""
        attributes = {
            "ce-specversion": "1.0",
            "ce-id": self.event_id,
            "ce-type": self.type,
            "ce-source": self.source,
            "ce-subject": self.about,
            "ce-time": _rfc3339(self.time) if self.time else "",
            "ce-requestid": self.request_id,
            "content-type": "application/protobuf",
            "traceparent": self.traceparent,
            "Nats-Msg-Id": self.event_id,
        }
        return {key: quote(value, safe=_PLAIN) for key, value in attributes.items() if value}


def envelope_of(headers: Mapping[str, str] | None, message_type: type[Message]) -> Envelope:
    """Reads the headers of an event. Raises UnreadableEventError without an id or of another type.

    An id that is longer than ours is replaced by one derived from it.
    """
    found = {key.lower(): unquote(value) for key, value in (headers or {}).items()}
    event_id = found.get("ce-id") or found.get("nats-msg-id", "")
    if not event_id:
        raise UnreadableEventError("the event has no id")
    expected = message_type.DESCRIPTOR.full_name
    carried = found.get("ce-type", expected)
    if carried != expected:
        raise UnreadableEventError(f"the event carries {carried[:128]}, expected {expected}")
    return Envelope(
        event_id=event_id if len(event_id) <= ID_MAX_CHARS else derived_id("event", event_id),
        type=carried,
        source=found.get("ce-source", ""),
        about=found.get("ce-subject", ""),
        time=_time(found.get("ce-time", "")),
        request_id=found.get("ce-requestid", ""),
        traceparent=found.get("traceparent", ""),
    )


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(text: str) -> datetime | None:
    # A time is of interest to people only, so a bad one is not worth losing an event for.
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
