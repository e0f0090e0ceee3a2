"""The wire format of server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import orjson

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # nginx and its relatives would collect the events otherwise.
    (b"x-accel-buffering", b"no"),
]
END_ID = "end"
"""Id of the last word on a run: who comes back with it has missed nothing and never will."""


def event(name: str, data: bytes, event_id: str = "") -> bytes:
    """One event; `data` is JSON and so without line breaks."""
    line = f"id: {event_id}\n" if event_id else ""
    return b"%sevent: %s\ndata: %s\n\n" % (line.encode(), name.encode(), data)


def greeting(retry_ms: int, position: int | None) -> bytes:
    """Says at once how soon to come back after a loss, and from where."""
    return f"retry: {retry_ms}\n".encode() + heartbeat("connected", position)


def heartbeat(word: str, position: int | None = None) -> bytes:
    """A comment that keeps proxies awake.

    With a position it moves the reader's last event id without an event, so that who hears
    nothing for days does not come back with an id that is too old.
    """
    line = "" if position is None else f"id: {position}\n"
    return f": {word}\n{line}\n".encode()


def reset(reason: str, position: int) -> bytes:
    """Events are missing here: read anew what you show, then go on."""
    return event("reset", orjson.dumps({"reason": reason}), str(position))


def end(reason: str, *, come_back: bool, event_id: str = "") -> bytes:
    """The last event of a stream."""
    return event("end", orjson.dumps({"reason": reason, "reconnect": come_back}), event_id)
