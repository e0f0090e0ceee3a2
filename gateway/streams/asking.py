"""What a request for a stream asks: the place to go on from, a site, types of events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chassis.errors import InvalidFields, Violation
from gateway.http import errors
from gateway.http.exchange import Exchange
from gateway.streams.event_format import END_ID
from gateway.transcoding.binding import ID_CHARS_MAX, SCOPE_HEADERS
from gateway.transcoding.parameters import pairs_of

MEDIA_TYPE = "text/event-stream"
SEQUENCE_DIGITS_MAX = 18
LAST_EVENT_ID = "last_event_id"
_SITE, _TYPES = "site_id", "types"
_ACCEPTED = frozenset({"*/*", "text/*", MEDIA_TYPE})
_HEADER = b"last-event-id"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a stream, understood but not yet checked against rights."""

    after: int | None = None
    """The last sequence that the reader has seen; None for a reader that begins."""
    over: bool = False
    """The reader has seen the end of a run."""
    site_id: str = ""
    types: frozenset[str] | None = None


def asked(
    query: bytes, exchange: Exchange, known_types: frozenset[str], *, filters: bool = True
) -> Asked:
    """Reads query and headers. Raises INVALID_FIELDS or NOT_ACCEPTABLE."""
    _require_acceptance(exchange)
    found = pairs_of(query)
    allowed = {LAST_EVENT_ID, *((_SITE, _TYPES) if filters else ())}
    faults = [Violation(name, "is not a known parameter") for name in found.keys() - allowed]
    faults += [
        Violation(name, "must be given once")
        for name, texts in found.items()
        if name != _TYPES and len(texts) > 1
    ]
    types = frozenset(found.get(_TYPES, ()))
    if types - known_types:
        faults.append(Violation(_TYPES, "must be names of events, one in each `types`"))
    if faults:
        raise InvalidFields(*sorted(faults, key=lambda fault: fault.field))
    last = _last_event_id(found, exchange)
    return Asked(
        after=int(last) if last and last != END_ID else None,
        over=last == END_ID,
        site_id=_site(found, exchange) if filters else "",
        types=types or None,
    )


def _last_event_id(found: Mapping[str, list[str]], exchange: Exchange) -> str:
    # The header first: a browser repeats the address of its first request, and only the
    # header tells how far it has come since.
    sent = exchange.headers.get(_HEADER)
    [asked_for] = found.get(LAST_EVENT_ID, [""])
    text = asked_for if sent is None else sent.decode("latin-1").strip()
    for name, given in ((LAST_EVENT_ID, asked_for), ("Last-Event-ID", text)):
        if given and given != END_ID and not _is_sequence(given):
            raise errors.invalid(name, "must be the id of an event of this stream")
    return text


def _is_sequence(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= SEQUENCE_DIGITS_MAX


def _site(found: Mapping[str, list[str]], exchange: Exchange) -> str:
    header, spelled = SCOPE_HEADERS[_SITE]
    chosen = {*found.get(_SITE, ()), exchange.headers.get(header, b"").decode("latin-1")} - {""}
    if len(chosen) > 1:
        raise errors.invalid(_SITE, f"differs from the header {spelled}")
    site_id = next(iter(chosen), "")
    if len(site_id) > ID_CHARS_MAX:
        raise errors.invalid(_SITE, f"must have at most {ID_CHARS_MAX} characters")
    return site_id


def _require_acceptance(exchange: Exchange) -> None:
    """A client that waits for a JSON document would wait for ever."""
    sent = exchange.headers.get(b"accept", b"*/*").decode("latin-1").lower()
    offered = {part.partition(";")[0].strip() for part in sent.split(",")}
    if not offered & _ACCEPTED:
        raise errors.not_acceptable(MEDIA_TYPE)
