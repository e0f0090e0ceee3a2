"""A provider that answers as it is told, request by request, over real HTTP."""

import asyncio
import json
from contextlib import asynccontextmanager

STALL, HANG_UP = object(), object()


def chunks(*texts, finish="stop", refusal=None):
    """The stream of an answer: its pieces, why it ended, what it took."""
    deltas = [{"content": text} for text in texts] + ([{"refusal": refusal}] if refusal else [])
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    if finish:
        choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    base = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "real-model"}
    sent = [base | {"choices": [choice]} for choice in choices]
    usage = {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18}
    sent.append(base | {"choices": [], "usage": usage})
    return [f"data: {json.dumps(each)}\n\n" for each in sent] + ["data: [DONE]\n\n"]


def error(status, code="", *, message="no", kind="t", **headers):
    """An error as the wire format has it."""
    return status, {"error": {"message": message, "code": code, "type": kind}}, headers


class Provider:
    """Answers with what is queued, the last one again and again; remembers what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.gone = asyncio.Event()
        self.url = ""

    async def answer(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            self.asked.append(json.loads(await reader.readexactly(length)))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            await self._send(answer, reader, writer)
        finally:
            writer.close()

    async def _send(self, answer, reader, writer):
        if answer is STALL:
            await reader.read()
            self.gone.set()
        elif isinstance(answer, tuple):
            status, body, headers = answer
            payload = json.dumps(body).encode()
            lines = [f"HTTP/1.1 {status} X", "content-type: application/json", "connection: close"]
            lines += [f"content-length: {len(payload)}"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + payload)
            await writer.drain()
        elif answer is not HANG_UP:
            head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
            writer.write(head.encode() + "".join(answer).encode())
            await writer.drain()


@asynccontextmanager
async def provider(*answers):
    """A running provider; `url` is what the client's base URL must be."""
    running = Provider(*answers)
    server = await asyncio.start_server(running.answer, "127.0.0.1", 0)
    running.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        yield running
