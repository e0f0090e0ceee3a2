"""What goes back: a status, headers and bytes; and the envelope around a service's JSON.

The envelope is spliced around the bytes that the converter wrote; nothing is parsed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

Header = tuple[bytes, bytes]
Headers = list[Header]


@dataclass(slots=True)
class Answer:
    """A complete answer, whose body is JSON unless it says otherwise."""

    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=list)
    media_type: bytes = b"application/json"


class BrokenOff(Exception):
    """An answer that has begun cannot be finished: only the end of its connection says so."""


async def send_answer(send: Any, answer: Answer, *, is_head: bool = False) -> None:
    """Writes an answer to the client (ASGI); all but its body when only the head was asked for."""
    headers = answer.headers
    if answer.status not in {204, 304}:
        headers = [
            (b"content-type", answer.media_type),
            (b"content-length", str(len(answer.body)).encode()),
            *headers,
        ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else answer.body})


def resource(document: str, request_id: str) -> bytes:
    """`document` is one resource as JSON."""
    return f'{{"success":true,"data":{document},"request_id":"{request_id}"}}'.encode()


def listing(
    rows: str, *, count: int, following: str | None, previous: str | None, request_id: str
) -> bytes:
    """`rows` are resources as JSON, separated by commas; the links are absolute."""
    return b"".join(
        (
            b'{"success":true,"count":',
            str(count).encode(),
            b',"next":',
            orjson.dumps(following),
            b',"previous":',
            orjson.dumps(previous),
            b',"results":[',
            rows.encode(),
            b'],"request_id":"',
            request_id.encode(),
            b'"}',
        )
    )
