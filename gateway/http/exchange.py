"""One request on its way through the gateway: its ids, headers and what the log will say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis import ids
from gateway.http import errors
from gateway.http.answers import Headers

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""A request id of a client is taken when it looks like this, else a new one is made."""
ADDRESS_CHARS_MAX = 64
_TRACE = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")
_NO_TRACE = b"0" * 32
_NONE: frozenset[bytes] = frozenset()
_SINGULAR = {
    name.lower().encode(): name
    for name in (
        "Authorization",
        "Content-Length",
        "Content-Type",
        "Idempotency-Key",
        "Last-Event-ID",
        "Origin",
        "X-Acting-Account",
        "X-Acting-Reason",
        "X-Site-Id",
        "X-Sector-Id",
    )
}
"""Headers that decide something; sent twice, two readers might see two different requests."""
_LISTS = frozenset({b"accept", b"accept-encoding", b"if-match", b"if-none-match"})
"""Headers whose lines are one list (RFC 9110, 5.3): what stands in the second counts as well."""
KEY = "writer.exchange"
CUT_OFF = "writer.cut_off"
"""Where a scope holds the refusal with which the socket has stopped reading the body."""


@dataclass(slots=True)
class Exchange:
    """What the parts of the gateway know about a request."""

    headers: Mapping[bytes, bytes]
    repeated: frozenset[bytes]
    request_id: str
    traceparent: str
    client_address: str = ""
    """Network address of the client; empty when the server does not know it."""
    route: str = ""
    """Template of the route, once it is known."""
    principal: str = ""
    account_id: str = ""
    outcome: str = ""
    """Reason of a refusal."""
    origin: str = ""
    """Of the page that asks, when it is not our own."""
    origin_is_known: bool = False
    """Whether any account allows the origin, or what is asked for is open to all."""
    reply_headers: Headers = field(default_factory=list)
    """Headers for the answer, whatever it will be."""

    @property
    def trace_id(self) -> str:
        """The trace that this request belongs to, 32 hexadecimal digits."""
        return self.traceparent[3:35]

    def require_single_headers(self) -> None:
        """Refuses a request that says something important twice."""
        if not self.repeated:
            return
        for name in self.repeated & _SINGULAR.keys():
            raise errors.invalid(_SINGULAR[name], "must be sent once")


def exchange_of(scope: Mapping[str, Any]) -> Exchange:
    """Reads the headers of an ASGI scope once."""
    pairs = scope["headers"]
    # The first of each name counts, but for lists; what was repeated matters only for some.
    headers: dict[bytes, bytes] = dict(reversed(pairs))
    repeated = _NONE if len(headers) == len(pairs) else _repeated(pairs)
    for name in repeated & _LISTS:
        headers[name] = b", ".join(value for each, value in pairs if each == name)
    sent = headers.get(b"x-request-id")
    sane = sent and REQUEST_ID.fullmatch(sent) is not None and b"x-request-id" not in repeated
    return Exchange(
        headers=headers,
        repeated=repeated,
        request_id=sent.decode() if sent and sane else ids.new_id(),
        traceparent=_traceparent(headers.get(b"traceparent", b"")),
        client_address=_address(scope.get("client")),
    )


def exchange_without_request(client_address: str) -> Exchange:
    """For what never became a request: it has an id and a trace as well."""
    return Exchange({}, _NONE, ids.new_id(), _traceparent(b""), client_address)


def _address(client: Sequence[Any] | None) -> str:
    # Behind a proxy it is what a header says, which may be anything.
    address: str = client[0] if client else ""
    fit = len(address) <= ADDRESS_CHARS_MAX and address.isascii() and address.isprintable()
    return address if fit else ""


def _repeated(pairs: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    return frozenset(
        name for name, times in Counter(name for name, _ in pairs).items() if times > 1
    )


def _traceparent(sent: bytes) -> str:
    """Continues a well-formed trace, or begins one; the span is always our own."""
    known = _TRACE.fullmatch(sent) if sent else None
    # The last 62 bits of a UUIDv7 are random, as those of a span should be, and of a trace.
    made = ids.new_id().replace("-", "")
    if known is None or known[1] == _NO_TRACE:
        return f"00-{made}-{made[16:]}-01"
    return f"00-{known[1].decode()}-{made[16:]}-{known[2].decode()}"
