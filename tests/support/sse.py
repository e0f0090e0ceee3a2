"""A reader of server-sent events over a plain connection, as strict as a browser."""

import asyncio
import contextlib
import dataclasses
import json
from collections import deque

WAIT_S = 15.0


@dataclasses.dataclass
class Event:
    """One event as a browser would dispatch it."""

    id: str
    type: str
    data: dict


class Closed(Exception):
    """The server has ended the answer."""


class EventStream:
    """An open answer; remembers the last event id and every comment."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self.status = 0
        self.headers = {}
        self.last_id = ""
        self.retry_ms = None
        self.comments = []
        self._lines = deque()
        self._rest = b""

    async def begin(self):
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines if line)
        return self

    async def body(self):
        """The whole of an answer that is no stream, as JSON."""
        return json.loads(await self._reader.readexactly(int(self.headers["content-length"])))

    async def next(self, timeout_s=WAIT_S):
        """The next event; raises Closed at the end of the answer."""
        async with asyncio.timeout(timeout_s):
            return await self._next()

    async def take(self, count, timeout_s=WAIT_S):
        return [await self.next(timeout_s) for _ in range(count)]

    async def rest(self):
        """Everything until the end of the answer."""
        events = []
        with contextlib.suppress(Closed):
            while True:
                events.append(await self.next())
        return events

    async def until(self, name):
        """Everything up to and with the first event of this type."""
        events = [await self.next()]
        while events[-1].type != name:
            events.append(await self.next())
        return events

    async def heard(self, word):
        """Reads on until a comment says this, and the id beside it; no event comes between."""
        async with asyncio.timeout(WAIT_S):
            while word not in self.comments:
                await self._line()
            while await self._line():
                pass

    def close(self):
        self._writer.close()

    async def closed(self):
        """Closes, and waits until nothing is left of the connection."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _next(self):
        kind, data = "message", None
        while True:
            line = await self._line()
            name, _, value = line.partition(": ")
            if line == "":
                if data is not None:
                    return Event(self.last_id, kind, json.loads(data))
                kind = "message"
            elif name == "event":
                kind = value
            elif name == "data":
                data = value

    async def _line(self):
        while not self._lines:
            await self._chunk()
        line = self._lines.popleft()
        name, _, value = line.partition(": ")
        if not name:
            self.comments.append(value)
        elif name == "id":
            self.last_id = value
        elif name == "retry":
            self.retry_ms = int(value)
        return line

    async def _chunk(self):
        size = int(await self._reader.readline() or b"0", 16)
        data = self._rest + await self._reader.readexactly(size)
        await self._reader.readexactly(2)
        if size == 0:
            raise Closed
        *lines, self._rest = data.split(b"\n")
        self._lines.extend(line.decode() for line in lines)


async def connect(port, path, *, authorization="Bearer owner", last_id=None, headers=(), **options):
    """Asks for a stream; the answer may be a refusal."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    lines = [f"GET {path} HTTP/1.1", "Host: t", f"Authorization: {authorization}"]
    lines += [f"Last-Event-ID: {last_id}"] if last_id is not None else []
    lines += headers
    writer.write("\r\n".join([*lines, "", ""]).encode())
    return await EventStream(reader, writer).begin()
