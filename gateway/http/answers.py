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
    """A complete answer with a JSON body, or with none."""

    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=list)


async def send_answer(send: Any, answer: Answer) -> None:
    """Writes an answer to the client (ASGI)."""
    headers = answer.headers
    if answer.status not in {204, 304}:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer.body)).encode()),
            *headers,
        ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


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
