"""A small HTTP client for thousands of calls: one connection each time, kept and used again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

TIMEOUT_S = 30.0
ENDLESS = "text/event-stream"


@dataclass(frozen=True)
class Response:
    """An answer; of a stream only the head."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith(ENDLESS)


class Http:
    """Connections to one server."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname, address.port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def request(
        self,
        verb: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The answer to one request; `body` is sent as JSON."""
        content = b"" if body is None else json.dumps(body).encode()
        sent = {"Host": f"{self._host}:{self._port}", **(headers or {})}
        if body is not None:
            sent |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        target = f"{path}?{urlencode(params, doseq=True)}" if params else path
        lines = [f"{verb} {target} HTTP/1.1", *(f"{key}: {value}" for key, value in sent.items())]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        async with asyncio.timeout(TIMEOUT_S):
            return await self._exchange(head + content)

    async def close(self) -> None:
        """Closes what is kept."""
        for _, writer in self._idle:
            writer.close()
            await writer.wait_closed()

    async def _exchange(self, request: bytes) -> Response:
        reader, writer = (
            self._idle.pop()
            if self._idle
            else await asyncio.open_connection(self._host, self._port)
        )
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        answer = Response(
            int(head[0].split(" ")[1]), {key.lower(): value for key, value in pairs}, ""
        )
        if answer.is_stream or answer.headers.get("connection") == "close":
            # It would go on for hours; or this is the last of the connection.
            text = b"" if answer.is_stream else await reader.read()
            writer.close()
            await writer.wait_closed()
        else:
            text = await reader.readexactly(int(answer.headers.get("content-length", 0)))
            self._idle.append((reader, writer))
        return Response(answer.status, answer.headers, text.decode())
