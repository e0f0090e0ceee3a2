"""One request and its answer on the wire: whole, streamed, dropped, or left by its client.

ASGI has no way to drop a connection, so the server passes one in the scope (see server.py).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from standalone.offline_model.faults import Fault, FaultBook, Misconduct, UnknownFaultError
from standalone.offline_model.journal import Entry, Journal
from standalone.offline_model.wire import ApiError, Json

MAX_BODY_BYTES = 4 * 1024 * 1024
STALL_MAX_S = 600.0
DROP_WAIT_S = 1.0
DEFAULT_RETRY_AFTER_S = 1
FAULT_HEADER = b"x-offline-fault"
DROP_EXTENSION = "offline.drop"
_EVENTS_BEFORE_YIELD = 8


class Job(Protocol):
    """A checked request that knows its own answer."""

    @property
    def kind(self) -> str:
        """One of text, prompts, image, other."""

    @property
    def title(self) -> str:
        """What the journal shows."""

    @property
    def prompt(self) -> str:
        """The text in which markers are looked for."""

    async def answer(self, exchange: Exchange, due: Misconduct) -> None:
        """Sends the answer, spoiled as far as is due."""


class Exchange:
    """The sending side. The journal is told of the end just before the last byte goes out."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self.entry: Entry | None = None
        self.dropped = False

    async def reply(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
        """A whole answer as JSON."""
        await self.reply_bytes(
            status, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), headers
        )

    async def reply_bytes(
        self, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        """A whole answer of bytes that may or may not be JSON."""
        self._end("answered" if status < 400 else "failed")
        fields = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **(headers or {}),
        }
        await self._send(_start(status, fields))
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, refused: ApiError) -> None:
        """An error in OpenAI's shape."""
        await self.reply(refused.status, refused.body, refused.headers)

    async def stream(self, events: Sequence[bytes], over_s: float, *, completes: bool) -> None:
        """Sends events one by one over some seconds; an incomplete stream drops the connection."""
        fields = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        await self._send(_start(200, fields))
        pause_s = over_s / len(events)
        for number, event in enumerate(events):
            if pause_s or number % _EVENTS_BEFORE_YIELD == 0:
                await asyncio.sleep(pause_s)
            await self._send({"type": "http.response.body", "body": event, "more_body": True})
        if not completes:
            await self.drop()
            return
        self._end("answered")
        await self._send({"type": "http.response.body", "body": b""})

    async def drop(self) -> None:
        """Closes the connection without finishing the answer."""
        self.dropped = True
        self._end("failed")
        close: Callable[[], None] | None = (
            self._scope.get("extensions", {}).get(DROP_EXTENSION, {}).get("close")
        )
        if close is None:
            raise RuntimeError("this server cannot drop a connection")
        close()

    async def pause(self, seconds: float) -> None:
        """Waits; a client that leaves meanwhile ends it."""
        if seconds:
            await asyncio.sleep(seconds)

    def _end(self, state: str) -> None:
        if self.entry is not None:
            self.entry.end(state)


class JobRoute:
    """The ASGI application of one POST route: reads, checks, journals, misbehaves or answers."""

    def __init__(
        self, understand: Callable[[Json], Job], journal: Journal, faults: FaultBook
    ) -> None:
        self._understand = understand
        self._journal = journal
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request from its first byte to its end in the journal."""
        exchange = Exchange(scope, send)
        try:
            job = self._understand(await _json_body(receive))
            due = self._due(scope, job)
        except ApiError as refused:
            exchange.entry = self._journal.open("other", "refused: " + str(refused))
            await exchange.refuse(refused)
            return
        exchange.entry = self._journal.open(job.kind, job.title, due.names)
        work = asyncio.create_task(self._perform(exchange, job, due))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if exchange.dropped:
                # Returning before the server has noticed would look like a mistake to it.
                await asyncio.wait({gone}, timeout=DROP_WAIT_S)
            elif not work.done():
                exchange.entry.end("aborted")
            if work.done():
                work.result()
        finally:
            exchange.entry.end("aborted")
            for task in (work, gone):
                task.cancel()

    def _due(self, scope: Scope, job: Job) -> Misconduct:
        header = next((v.decode("latin-1") for k, v in scope["headers"] if k == FAULT_HEADER), None)
        try:
            return self._faults.judge(job.kind, job.prompt, header)
        except UnknownFaultError as unknown:
            raise ApiError(400, str(unknown), code="unknown_fault") from unknown

    async def _perform(self, exchange: Exchange, job: Job, due: Misconduct) -> None:
        if due.stall:
            if due.stall.argument is None:
                await asyncio.sleep(STALL_MAX_S)
                await exchange.drop()
                return
            await asyncio.sleep(due.stall.argument)
        if due.outcome and (refused := _refusal_by(due.outcome)):
            await exchange.refuse(refused)
            return
        await job.answer(exchange, due)


def _refusal_by(fault: Fault) -> ApiError | None:
    if fault.name == "rate_limit":
        seconds = DEFAULT_RETRY_AFTER_S if fault.argument is None else fault.argument
        return ApiError(
            429,
            "Rate limit reached for requests.",
            kind="requests",
            code="rate_limit_exceeded",
            headers={"retry-after": f"{seconds:g}"},
        )
    if fault.name == "error":
        status = 500 if fault.argument is None else int(fault.argument)
        return ApiError(
            status, "The server had an error while processing your request.", kind="server_error"
        )
    return None


async def _json_body(receive: Receive) -> Json:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "The client left before its request was complete.")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise ApiError(
                413, f"The request is longer than {MAX_BODY_BYTES} bytes.", code="request_too_large"
            )
        if not message.get("more_body"):
            break
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(value, dict):
        raise ApiError(400, "The body of your request must be a JSON object.")
    return value


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(status: int, fields: dict[str, str]) -> Message:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    return {"type": "http.response.start", "status": status, "headers": headers}
